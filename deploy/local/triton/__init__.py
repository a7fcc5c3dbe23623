"""Triton on this machine: its files, its HTTP port, the models that it holds."""
