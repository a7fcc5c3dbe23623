"""The example model beside `transformers` in FP32 on the same device."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np
import torch

from engine.runtime.decoding.settings import Decoding
from engine.runtime.decoding.trail import Trail
from engine.runtime.sessions.torch.session import TorchSession
from tests.engine.native.answers import decode
from tests.engine.runtime.torch_sessions.mixed_rows import Wish, decode_rows
from tests.gpu.part import Part
from tests.gpu.phases.bench import Bench
from tests.gpu.variant import CHECKPOINT, SOURCES_FILE

LARGEST_DIFFERENCES = {"fp32": 1e-4, "fp16": 0.02, "bf16": 0.15, "int8": 0.15}
"""How far log-probabilities may be from those of FP32, on average."""
_CAPACITY = 64


def correctness(bench: Bench, part: Part) -> None:
    """Greedy answers, their scores, beams of 4, and rows that come and go."""
    oracle = _Oracle(bench)
    sources = json.loads((bench.variant / SOURCES_FILE).read_text(encoding="utf-8"))
    sources = sources[: bench.size.texts]
    expected = oracle.answers(sources, 1)
    for precision in bench.size.precisions:
        manifest = replace(bench.manifest, precision=precision)
        session = TorchSession(bench.variant_in(precision), manifest, _CAPACITY, bench.index)
        # A CUDA graph is captured for fewer rows than texts, so rows come and go.
        trails = decode(session, sources, [bench.size.limit] * len(sources), at_once=48)
        found = part[precision] = {"texts": len(sources)}
        found["identical"] = _same([trail.tokens.tolist() for trail in trails], expected)
        found |= oracle.differences(sources, trails)
        part.save()
        _judge(part, precision)
        if precision == "fp32":
            _compare_beams(bench, part, session, oracle, sources)
            _compare_rows_alone(bench, part, session, sources)
        del session


def _judge(part: Part, precision: str) -> None:
    found, limit = part[precision], LARGEST_DIFFERENCES[precision]
    difference = found["mean_log_prob_difference"]
    part.gate(f"{precision} log-probabilities", difference <= limit, mean=difference, most=limit)
    if precision == "fp32":
        least = ceil(127 / 128 * found["texts"])
        same = found["identical"]
        part.gate("fp32 answers", same >= least, identical=same, least=least)


def _compare_beams(
    bench: Bench,
    part: Part,
    session: TorchSession,
    oracle: "_Oracle",
    sources: Sequence[list[int]],
) -> None:
    some, limit = sources[: bench.size.beam_texts], bench.size.limit
    wishes = [Wish(source, limit, Decoding(limit, num_beams=4)) for source in some]
    made = [answers[0][0] for answers in decode_rows(session, wishes, _CAPACITY, seed=1)]
    same, least = _same(made, oracle.answers(some, 4)), ceil(31 / 32 * len(some))
    part["beams"] = {"texts": len(some), "identical": same}
    part.gate("fp32 beams", same >= least, identical=same, least=least)


def _compare_rows_alone(
    bench: Bench, part: Part, session: TorchSession, sources: Sequence[list[int]]
) -> None:
    """Rows of several kinds that start and leave at random times, and each alone."""
    chance, limit = random.Random(3), bench.size.limit // 2
    wishes = []
    for source in sources[: bench.size.beam_texts]:
        decoding = Decoding(limit, num_beams=chance.choice([1, 1, 3]))
        wishes.append(Wish(source, limit, decoding, leaves=chance.choice([0, 0, 0, 2])))
    together = decode_rows(session, wishes, 24, seed=2)
    alone = decode_rows(session, [replace(wish, leaves=0) for wish in wishes], 24)
    pairs = [(one[0][0], other[0][0]) for one, other in zip(together, alone, strict=True) if one]
    same, least = _same(*zip(*pairs, strict=True)), ceil(31 / 32 * len(pairs))
    part["rows_alone"] = {"rows": len(pairs), "identical": same}
    part.gate("rows as alone", same >= least, identical=same, least=least)


def _same(made: Sequence[list[int]], expected: Sequence[list[int]]) -> int:
    return sum(one == other for one, other in zip(made, expected, strict=True))


class _Oracle:
    """The checkpoint in `transformers`, in FP32."""

    def __init__(self, bench: Bench) -> None:
        from transformers import AutoModelForSeq2SeqLM

        loaded = AutoModelForSeq2SeqLM.from_pretrained(CHECKPOINT, dtype=torch.float32)
        self._model: Any = loaded.eval().to(bench.device)
        self._model.generation_config.max_length = None  # it would warn of the limit beside it
        self._bench, self._manifest = bench, bench.manifest

    @torch.inference_mode()
    def answers(self, sources: Sequence[list[int]], beams: int) -> list[list[int]]:
        """Its tokens, made in one batch with padding."""
        width, pad, eos = max(map(len, sources)), self._manifest.pad_id, self._manifest.eos_id
        ids = torch.tensor([one + [pad] * (width - len(one)) for one in sources])
        mask = torch.tensor([[1] * len(one) + [0] * (width - len(one)) for one in sources])
        length = {"max_new_tokens": self._bench.size.limit, "num_beams": beams, "do_sample": False}
        parts = ids.to(self._bench.device), mask.to(self._bench.device)
        made = self._model.generate(input_ids=parts[0], attention_mask=parts[1], **length)
        answers = [one[1:] for one in made.tolist()]
        return [one[: one.index(eos) + 1] if eos in one else one for one in answers]

    def differences(
        self, sources: Sequence[list[int]], trails: Sequence[Trail]
    ) -> dict[str, float]:
        """How far the log-probabilities of tokens are from those it gives to the same ones."""
        pairs = zip(sources, trails, strict=True)
        apart = np.concatenate(
            [np.abs(trail.log_probs - self._log_probs(source, trail)) for source, trail in pairs]
        )
        return {
            "mean_log_prob_difference": float(apart.mean()),
            "p99_log_prob_difference": float(np.percentile(apart, 99)),
            "largest_log_prob_difference": float(apart.max()),
        }

    @torch.inference_mode()
    def _log_probs(self, source: list[int], trail: Trail) -> Any:
        start, device = self._manifest.decoder_start_id, self._bench.device
        before = torch.tensor([[start, *trail.tokens[:-1].tolist()]], device=device)
        ids = torch.tensor([source], device=device)
        logits = self._model(input_ids=ids, decoder_input_ids=before).logits[0].float()
        tokens = torch.tensor(trail.tokens.tolist(), device=device)
        chosen = logits.log_softmax(dim=1).gather(1, tokens[:, None])[:, 0]
        return chosen.cpu().numpy()
