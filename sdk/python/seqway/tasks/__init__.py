"""One file per task: its requests, its methods, and the results of its responses."""
