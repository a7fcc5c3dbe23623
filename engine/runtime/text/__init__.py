"""Text to token ids and back: vocabularies, source format, detokenizer."""
