"""A corpus: JSON Lines of pairs of texts, of which the second is what a model learns to say."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A text and its translation, summary or label; `package` tells where the text is from."""

    source: str
    target: str
    package: str = ""


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Writes one JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for pair in pairs:
            file.write(json.dumps(asdict(pair), ensure_ascii=False) + "\n")


def load_pairs(path: Path) -> list[Pair]:
    """Reads what `write_pairs` wrote."""
    with path.open(encoding="utf-8") as file:
        return [Pair(**json.loads(line)) for line in file]
