"""What an encoder variant counts, among Triton's own metrics at its `/metrics`."""

from dataclasses import asdict
from typing import Any

import triton_python_backend_utils as pb_utils

from engine.runtime.encoders.engine import EncoderCounts

DESCRIPTIONS = {
    "texts": "Texts answered",
    "windows": "Windows that the texts were cut into",
    "batches": "Batches of windows computed together",
    "tokens": "Tokens of the windows",
    "computed_tokens": "Tokens computed, padding included",
}


class EncoderMetrics:
    """Counters of one instance of a variant; windows divided by batches is the mean batch size."""

    def __init__(self, model: str, instance: str) -> None:
        labels = {"model": model, "instance": instance}
        # Triton drops a metric whose family is gone, so the families are kept as long as it.
        self._families: list[Any] = []
        self._counters: dict[str, Any] = {}
        for name, description in DESCRIPTIONS.items():
            family = self._family(f"seqway_encoder_{name}", description, counter=True)
            self._counters[name] = family.Metric(labels=labels)
        last = self._family(
            "seqway_encoder_last_batch_texts", "Texts that Triton gave at once, last", counter=False
        )
        self._last = last.Metric(labels=labels)
        self._told = asdict(EncoderCounts())

    def update(self, counts: EncoderCounts, texts: int) -> None:
        """Tells Triton what has changed; `texts` were given at once."""
        for name, value in asdict(counts).items():
            if value != self._told[name]:
                self._counters[name].increment(value - self._told[name])
                self._told[name] = value
        self._last.set(texts)

    def _family(self, name: str, description: str, *, counter: bool) -> Any:
        kinds = pb_utils.MetricFamily
        kind = kinds.COUNTER if counter else kinds.GAUGE
        family = pb_utils.MetricFamily(name=name, description=description, kind=kind)
        self._families.append(family)
        return family
