"""The simulator beside measured runs of one and of two groups."""
