"""What `config.pbtxt` sets for an instance: its parameters, each a string."""

from collections.abc import Mapping
from typing import Any

from engine.parallel.layout import Layout
from engine.runtime.batching.scheduler import MOST_ROWS, MOST_TOKENS, Limits
from engine.runtime.engine import Settings
from engine.runtime.sessions.placement import usable_cores

_MOST_THREADS = 1024


class ParameterError(ValueError):
    """A parameter is not what it can be; the message says which, and what to do."""


class Parameters:
    """The parameters of a model's configuration, as Triton gives it."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._values = {
            name: item["string_value"] for name, item in dict(config["parameters"]).items()
        }
        groups = config["instance_group"]
        self._instances = sum(int(group["count"]) for group in groups)
        self._processes = sum(
            int(group["count"]) * max(1, len(group.get("gpus", ()))) for group in groups
        )

    def whole(self, name: str, usual: int, least: int, most: int) -> int:
        """A whole number from `least` to `most`, `usual` where it is not set.

        Raises:
            ParameterError: it is another.

        """
        text = self._values.get(name)
        if text is None:
            return usual
        if not text.strip().isdecimal() or not least <= int(text) <= most:
            raise ParameterError(
                f'the parameter {name} in config.pbtxt is "{text}", and has to be a whole number '
                f"from {least} to {most}: set it so, or leave it out."
            )
        return int(text)

    def lanes(self, device: int | None) -> int:
        """How many lanes an instance has; 0: as many as suit what runs the variant.

        Instances, or the groups of the one instance, share the cores that the process may use.
        """
        lanes = self.whole("lanes", 0, 0, _MOST_THREADS)
        if device is None and not lanes:
            return max(1, usable_cores() // (self._instances * self.layout().data))
        return lanes

    def layout(self) -> Layout:
        """How many devices a generating variant runs on; one where it is not set.

        Raises:
            ParameterError: it is no layout, or there are several instances to run it.

        """
        try:
            layout = Layout.parse(self._values.get("parallel", str(Layout())))
        except ValueError as error:
            raise ParameterError(f"the parameter parallel in config.pbtxt: {error}") from error
        if layout.ranks > 1 and self._processes != 1:
            raise ParameterError(
                f"the parameter parallel in config.pbtxt is {layout}, which one instance is the "
                f"front of, and instance_group makes {self._processes}: have it say "
                "[ { kind: KIND_MODEL, count: 1 } ]."
            )
        return layout

    def threads(self) -> int:
        """The size of ONNX Runtime's pools of threads."""
        return self.whole("threads", 1, 1, _MOST_THREADS)

    def settings(self, device: int | None) -> Settings:
        """How the engine of a generating variant runs on a GPU or, None, on the processor."""
        rows = self.whole("max_rows", Limits.max_rows, 1, MOST_ROWS)
        # A step of a GPU takes hardly longer with some more rows.
        few = Limits.tenant_rows if device is None else max(1, rows // 4)
        limits = Limits(
            max_rows=rows,
            token_budget=self.whole("token_budget", 0, 0, MOST_TOKENS),
            max_waiting=self.whole("max_waiting", Limits.max_waiting, 0, MOST_TOKENS),
            bulk_rows=self.whole("bulk_rows", Limits.bulk_rows, 0, MOST_ROWS),
            tenant_rows=self.whole("tenant_rows", few, 1, MOST_ROWS),
        )
        lanes, threads = self.lanes(device), self.threads()
        return Settings(lanes=lanes, threads=threads, limits=limits, device=device)
