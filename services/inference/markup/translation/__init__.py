"""Marks and atoms put back into a translation."""
