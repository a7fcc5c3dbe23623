"""One file per task: its arguments, its methods, and what its responses become."""
