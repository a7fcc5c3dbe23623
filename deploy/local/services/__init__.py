"""The services of a stack: how each is started, probed and mended."""
