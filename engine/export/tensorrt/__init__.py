"""Typed graphs to TensorRT plans: built ahead of time, inspected, and described."""
