"""The Transformer itself, and one file per checkpoint family that maps onto it."""
