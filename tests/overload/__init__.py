"""More calls than the real stack can answer."""
