"""Metrics and liveness of the workers."""
