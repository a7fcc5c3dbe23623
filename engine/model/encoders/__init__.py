"""Encoders with a classification or span head."""
