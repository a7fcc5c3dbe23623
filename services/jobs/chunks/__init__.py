"""One chunk of a job, run by a worker."""
