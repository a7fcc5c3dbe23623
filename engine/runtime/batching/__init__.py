"""Continuous batching: which rows run, and the loop that runs them."""
