"""What a variant has to pass before it is written."""
