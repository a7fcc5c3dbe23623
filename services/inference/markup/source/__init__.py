"""Markup read: from a source to blocks of text and tags."""
