"""Checkpoint tokenizers: read, checked, and written as the runtime reads them."""
