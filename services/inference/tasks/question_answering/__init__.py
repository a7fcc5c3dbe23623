"""Question answering, extractive and generative."""
