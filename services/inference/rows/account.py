"""What a call has cost."""

import asyncio
import math
from dataclasses import dataclass, field

from services.inference.rows.events import End, FinishReason


@dataclass(slots=True)
class Account:
    """The closing word on a call; times are in seconds, from the call's arrival."""

    variant: str
    warnings: list[str] = field(default_factory=list)
    finish_reason: FinishReason = FinishReason.EOS
    input_tokens: int = 0
    output_tokens: int = 0
    queue: float = 0.0
    first_token: float = math.inf
    total: float = 0.0
    started: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def note_end(self, end: End) -> None:
        """Counts a generation that has ended."""
        self.finish_reason = max(self.finish_reason, end.finish_reason)
        self.input_tokens += end.input_tokens
        self.output_tokens += end.output_tokens
        self.queue = max(self.queue, end.queue_ms / 1000)
        self.note_token((end.total_ms - end.first_token_ms) / 1000)

    def note_move(self, variant: str) -> None:
        """Notes that another variant goes on, which is `variant` from now on."""
        self.warnings.append(f"{self.variant} stopped: {variant} completed the answer")
        self.variant = variant

    def note_token(self, ago: float = 0.0) -> None:
        """Notes that a token came now, or some seconds `ago`."""
        self.first_token = min(self.first_token, max(0.0, self._elapsed() - ago))

    def close(self) -> "Account":
        """Notes the end of the call."""
        self.total = self._elapsed()
        self.first_token = min(self.first_token, self.total)
        return self

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self.started
