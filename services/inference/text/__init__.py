"""Plain text: sentences, characters, parts of a size."""
