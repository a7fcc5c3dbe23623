"""The tasks, built of rows."""
