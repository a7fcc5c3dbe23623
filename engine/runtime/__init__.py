"""Serving without Triton: sessions, slots, the continuous-batching scheduler, decoding, detokenizing.

Imports neither torch nor Triton.
"""
