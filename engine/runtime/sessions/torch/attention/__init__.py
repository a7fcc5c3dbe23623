"""Self-attention of an encoder: of whole sources to all of them, or to what lies near by."""
