"""Where a model runs: the sessions behind one seam."""
