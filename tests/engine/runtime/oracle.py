"""What `transformers` answers, for comparison."""

from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from engine.contract.manifest import Manifest


@dataclass(frozen=True)
class Expected:
    """One answer: its tokens, the start token and padding left out, and its score."""

    tokens: list[int]
    score: float


class Oracle:
    """A checkpoint run by `transformers`' own `generate`."""

    def __init__(self, checkpoint: Path, manifest: Manifest) -> None:
        self.model = transformers.AutoModelForSeq2SeqLM.from_pretrained(
            checkpoint, dtype=torch.float32
        ).eval()
        self._manifest = manifest

    @torch.no_grad()
    def answers(self, sources: list[list[int]], **options: object) -> list[list[Expected]]:
        """The answers to each source, run as one padded batch, best first."""
        width = max(map(len, sources))
        pad = self._manifest.pad_id
        ids = torch.tensor([source + [pad] * (width - len(source)) for source in sources])
        mask = torch.tensor([[1] * len(s) + [0] * (width - len(s)) for s in sources])
        made = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            output_scores=True,
            return_dict_in_generate=True,
            **options,
        )
        scores = getattr(made, "sequences_scores", None)
        start = 1
        expected = [
            Expected(
                self._trimmed(sequence.tolist()[start:]),
                0.0 if scores is None else float(scores[index]),
            )
            for index, sequence in enumerate(made.sequences)
        ]
        each = len(expected) // len(sources)
        return [expected[first : first + each] for first in range(0, len(expected), each)]

    def _trimmed(self, tokens: list[int]) -> list[int]:
        eos, pad = self._manifest.eos_id, self._manifest.pad_id
        if eos in tokens:
            return tokens[: tokens.index(eos) + 1]
        while tokens and tokens[-1] == pad:
            tokens.pop()
        return tokens
