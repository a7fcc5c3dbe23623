"""Calls that come at random, whether others are answered or not, at services side by side."""
