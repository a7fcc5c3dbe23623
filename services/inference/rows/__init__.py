"""The rows of one call through the engine."""
