"""How `make bench` measures: loops, sweeps, spreads and what the answers are worth."""
