"""Firefox's translation model: our runtime beside Mozilla's engines, on one core."""
