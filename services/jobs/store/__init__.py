"""The object store, which is the truth of jobs, and what lies in it."""
