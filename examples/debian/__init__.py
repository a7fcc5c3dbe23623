"""Builds the corpora of the example models from the descriptions of Debian's packages.

`python -m examples.debian corpus` writes them; `python -m examples.debian evaluate` measures a
summarizer or a classifier beside its baseline.
"""
