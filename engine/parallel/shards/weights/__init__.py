"""A rank's part of the weights, as they are stored."""
