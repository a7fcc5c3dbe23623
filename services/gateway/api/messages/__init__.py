"""Conversion between the public messages and the types of inference and jobs."""
