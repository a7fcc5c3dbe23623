"""Translation: documents of sentences."""
