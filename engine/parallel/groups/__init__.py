"""Groups of ranks that serve one variant side by side, behind one front that loses no row."""
