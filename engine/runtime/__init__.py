"""Serving without Triton: sessions, slots, continuous batching, decoding, detokenizing.

Imports neither torch nor Triton.
"""
