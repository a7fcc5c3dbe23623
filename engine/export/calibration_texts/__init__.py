"""Texts to calibrate INT8 on when a user brings none: our own sentences, of many kinds."""

import random
from pathlib import Path

PROTEINS = 100

_RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


def generic_texts() -> list[str]:
    """English sentences and paragraphs: prose, news, manuals, law, science, talk, short labels."""
    return (Path(__file__).parent / "english.txt").read_text(encoding="utf-8").splitlines()


def random_proteins() -> list[str]:
    """Random amino-acid sequences of 20 to 200 residues, the same at every call."""
    generator = random.Random(0)
    return [
        "".join(generator.choices(_RESIDUES, k=generator.randint(20, 200))) for _ in range(PROTEINS)
    ]
