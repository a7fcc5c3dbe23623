"""The parts of `make bench`: each measures one checkpoint and gives figures, tables and plots."""
