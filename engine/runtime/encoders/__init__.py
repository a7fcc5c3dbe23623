"""Encoder variants: windows, batches, label and span results."""
