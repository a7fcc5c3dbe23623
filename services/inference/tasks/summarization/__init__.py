"""Summarization, level by level where a text is long."""
