"""Faults of batch jobs, injected into the real stack; after each, nothing may be lost."""
