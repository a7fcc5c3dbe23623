"""Encoders with a classification or span head, and attention over long sources."""
