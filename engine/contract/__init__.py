"""What a caller of the engine says and hears, on both sides of Triton; see docs/triton-protocol.md.

Imports nothing of ours, and neither torch nor NumPy: the services import this package of `engine`
and no other.  Keys that a reader does not know are ignored, so either side may be the newer one.
"""
