"""Which models there are, and which variant serves a call."""
