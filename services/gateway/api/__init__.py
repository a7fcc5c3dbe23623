"""The public services, a file each."""
