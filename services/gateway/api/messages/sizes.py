"""How much text a request carries."""

from typing import Any


def characters_of(request: Any) -> int:
    """The code points of all texts that a model is to read; 0 for requests without any."""
    texts = getattr(request, "contents", ())
    single = (getattr(request, name, "") for name in ("question", "context"))
    return sum(map(len, texts)) + sum(map(len, single))
