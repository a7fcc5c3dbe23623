"""`seqway.v1.JobService`."""
