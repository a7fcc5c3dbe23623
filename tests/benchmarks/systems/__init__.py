"""What is timed: our runtime and service, and their peers."""
