"""The quality that single answers are expected to have: fitted to a test set, and checked on it."""
