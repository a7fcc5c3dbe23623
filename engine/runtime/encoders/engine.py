"""The engine of one encoder variant: cuts texts into windows, runs them in batches, joins results.

The windows of all texts of a batch run together, sorted into groups of like length, one group for
each lane at a time: the lanes share the session, and each works on one thread of its own.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.contract.manifest import read_manifest
from engine.contract.readings import EncoderReady, Failure, Logits, Reading, Spans
from engine.runtime.encoders.request import EncoderItem
from engine.runtime.encoders.session import Floats
from engine.runtime.encoders.spans import best_spans, decode_spans
from engine.runtime.encoders.windows import (
    QuestionTooLongError,
    StrideError,
    TokenWindow,
    WindowCutter,
    WindowedText,
    batches,
)
from engine.runtime.sessions.placement import lanes_of, open_encoder_session
from engine.runtime.sessions.session import DeviceLostError
from engine.runtime.text.vocabulary import load_tokenizer

logger = logging.getLogger(__name__)

SPREAD_TOKENS = 32
"""Windows computed together differ in length by at most this: little padding is computed."""


@dataclass
class EncoderCounts:
    """What an engine counts; all only grow. `computed_tokens` include padding."""

    texts: int = 0
    windows: int = 0
    batches: int = 0
    tokens: int = 0
    computed_tokens: int = 0


class EncoderEngine:
    """Serves the encoder variant in `folder`.

    `lanes` 0 means one for each core that the process may use, one on a GPU; `threads` is the size
    of the pool that ONNX Runtime splits one product over (1: each lane works alone). `device` is
    the GPU that is to run the variant, None for the processor.
    """

    def __init__(
        self, folder: Path, lanes: int = 0, threads: int = 1, device: int | None = None
    ) -> None:
        self.manifest = read_manifest(folder)
        self.counts = EncoderCounts()
        self._cutter = WindowCutter(load_tokenizer(folder), self.manifest.max_source_tokens)
        self._session = open_encoder_session(folder, self.manifest, threads, device)
        self._lanes = lanes or lanes_of(self._session)
        self._pool = ThreadPoolExecutor(self._lanes, thread_name_prefix="seqway-lane")

    def close(self) -> None:
        """Waits for what runs and ends the lanes."""
        self._pool.shutdown()

    def run(self, items: Sequence[EncoderItem]) -> list[Reading]:
        """The result of each item, in order; one that fails does not touch the others.

        Raises:
            DeviceLostError: the process has lost its GPU.

        """
        texts = [self._cut(item) for item in items]
        windows = [w for text in texts if isinstance(text, WindowedText) for w in text.windows]
        logits = iter(self._run(windows))
        results = []
        for item, text in zip(items, texts, strict=True):
            if isinstance(text, WindowedText):
                of_text = [next(logits) for _ in text.windows]
                results.append(self._join(item, text, of_text))
            else:
                results.append(text)
        self.counts.texts += len(items)
        return results

    def _cut(self, item: EncoderItem) -> WindowedText | Reading:
        options = item.options
        if options.probe:
            return EncoderReady()
        try:
            if self.manifest.head == "spans":
                return self._cutter.cut_context(
                    item.question, item.text, options.stride, options.max_answer_tokens
                )
            return self._cutter.cut(item.text, options.stride)
        except StrideError as error:
            return Failure("INVALID_OPTIONS", str(error))
        except QuestionTooLongError as error:
            return Failure("TOO_LONG", str(error))
        except Exception as error:
            return _failure(error)

    def _run(self, windows: list[TokenWindow]) -> list[Floats | Failure]:
        """The logits of each window; one that fails takes none of the others with it."""
        lengths = [len(window.ids) for window in windows]
        # A lane without work would wait for the others.
        most = min(self._session.batch_tokens, -(-sum(lengths) // self._lanes))
        groups = batches(lengths, most, SPREAD_TOKENS)
        answers = self._pool.map(self._run_group, [[windows[i] for i in g] for g in groups])
        logits: list[Floats | Failure] = [Failure("FAILED", "")] * len(windows)
        for group, of_group in zip(groups, answers, strict=True):
            for index, answer in zip(group, of_group, strict=True):
                logits[index] = answer
            of_windows = [lengths[index] for index in group]
            padded = len(group) * max(of_windows)
            self.counts.computed_tokens += padded if self._session.pads else sum(of_windows)
        self.counts.windows += len(windows)
        self.counts.batches += len(groups)
        self.counts.tokens += sum(lengths)
        return logits

    def _run_group(self, windows: list[TokenWindow]) -> list[Floats | Failure]:
        try:
            return list(self._session.run(windows))
        except DeviceLostError:
            raise
        except Exception as error:
            if len(windows) == 1:
                return [_failure(error)]
            # The window that it fails on is not known yet.
            return [answer for window in windows for answer in self._run_group([window])]

    def _join(
        self, item: EncoderItem, text: WindowedText, logits: list[Floats | Failure]
    ) -> Reading:
        arrays = [one for one in logits if not isinstance(one, Failure)]
        if len(arrays) < len(logits):
            return next(one for one in logits if isinstance(one, Failure))
        if not all(np.isfinite(array).all() for array in arrays):
            return Failure("FAILED", "the model made values that are not finite")
        if self.manifest.head == "spans":
            return _spans(item, text, arrays)
        mean = np.average(
            np.stack(arrays).astype(np.float64),
            axis=0,
            weights=[max(1, window.tokens) for window in text.windows],
        )
        return Logits(tuple(mean.tolist()), len(text.windows), text.input_tokens)


def _spans(item: EncoderItem, text: WindowedText, logits: list[Floats]) -> Spans:
    options = item.options
    log_probs, none = decode_spans(text.windows, logits, len(text.offsets))
    answers = best_spans(
        log_probs, item.text, text.offsets, options.top_k, options.max_answer_tokens
    )
    return Spans(answers, float(np.exp(none)), len(text.windows), text.input_tokens)


def _failure(error: Exception) -> Failure:
    logger.exception("an item failed")
    return Failure("FAILED", f"{type(error).__name__}: {error}")
