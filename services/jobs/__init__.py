"""Offline batches: plan, chunk, run, commit, reconcile.  The object store is the truth."""
