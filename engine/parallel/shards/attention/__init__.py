"""Attention where each rank has a part of each source."""
