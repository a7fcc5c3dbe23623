"""What the whole result says: what failed, and how other systems compare."""

from collections.abc import Mapping
from typing import Any

PEERS = ("ctranslate2", "transformers_compiled", "transformers_static", "transformers_eager")


def failures(result: Mapping[str, Any]) -> list[str]:
    """A line for each phase that did not come to its end, and for each gate that is closed."""
    lines = []
    for name, part in result.items():
        if not isinstance(part, dict):
            continue
        if "error" in part:
            lines.append(f"{name}: {part['error']}")
        for gate, found in part.get("gates", {}).items():
            if not found["passed"]:
                figures = {key: value for key, value in found.items() if key != "passed"}
                lines.append(f"{name}: {gate}: {figures}")
    return lines


def ratios(result: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """How many times as many tokens a second as each peer, by texts.

    Ours are in flight, theirs a batch; both are encoded too, and all have the same lengths.
    """
    own = _speeds(result.get("saturation", {}).get("greedy", {}))
    found: dict[str, dict[str, float]] = {}
    for peer in PEERS:
        if speeds := _speeds(result.get(peer, {})):
            found[peer] = {rows: own[rows] / speed for rows, speed in speeds.items() if rows in own}
    return found


def _speeds(part: Mapping[str, Any]) -> dict[str, float]:
    return {
        count: one["tokens_per_second"]
        for count, one in part.items()
        if isinstance(one, dict) and "tokens_per_second" in one
    }
