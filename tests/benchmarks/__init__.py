"""Speed against peers: `make bench`."""
