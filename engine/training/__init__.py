"""Corpora, the mixed-precision trainer and its evaluation."""
