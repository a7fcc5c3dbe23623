"""Answers that an encoder-decoder writes, from the filled template of its checkpoint."""

import math
import re
from dataclasses import replace

from engine.contract.events import TooLong
from engine.contract.manifest import Manifest
from services.inference.errors import InvalidOptionError, TextTooLongError
from services.inference.rows.account import Account
from services.inference.rows.engine import InferenceEngine
from services.inference.rows.recovery import Route
from services.inference.rows.run import running
from services.inference.rows.window import CallRow, row_seed
from services.inference.settings import InferenceSettings
from services.inference.tasks.classifier import windows_warning
from services.inference.tasks.question_answering.question import Answers, FoundAnswer, Question
from services.inference.text.parts import pack

# Of a checkpoint that names none; T5 was trained on this one.
_DEFAULT_TEMPLATE = "question: {question}  context: {context}"
_PLACES = re.compile(r"\{(question|context)\}")

# Token counts of windows are estimated from the whole: leave some room.
_FILL = 0.9
# The part of a window that it shares with the one before, so that no answer is cut in two.
_OVERLAP = 1 / 8
# The API does not tell the language of a context; this one's rules on where sentences end are used.
_LANGUAGE = "en"


class WindowRow(CallRow):
    """A window of the context, with the question, and the answer that the model writes."""

    def __init__(self, reading: "Reading", start: int, context: str) -> None:
        general = reading.question.generation
        generation = replace(general, seed=row_seed(general.seed, start))
        super().__init__(0, reading.fill(context), generation)
        self._reading = reading
        self._start = start
        self._context = context

    @property
    def answer(self) -> FoundAnswer | None:
        """What the model wrote, once that is complete."""
        if self.end is None:
            return None
        return FoundAnswer(
            text=self.said.strip(),
            score=math.exp(min(0.0, self.end.log_prob / max(self.end.output_tokens, 1))),
            finish_reason=self.end.finish_reason,
        )

    def smaller(self, refusal: TooLong) -> "list[WindowRow]":
        """Windows of this one; TextTooLongError when the question leaves no room for any."""
        characters = len(self.text)
        most = int(characters * _FILL * refusal.limit / max(refusal.input_tokens, 1))
        room = most - (characters - len(self._context))
        room = min(room, (len(self._context) + 1) // 2)
        if room < 1 or len(self._context) < 2:
            raise TextTooLongError(
                f"the question leaves no room for the context: the model takes {refusal.limit}"
                " tokens",
                field="question",
            )
        parts = pack(self._context, _LANGUAGE, room, overlap=int(room * _OVERLAP))
        return [
            WindowRow(self._reading, self._start + part.start, self._context[part.start : part.end])
            for part in parts
        ]


class Reading:
    """A question on its way: the windows of its context."""

    def __init__(self, question: Question, template: str) -> None:
        self.question = question
        self._template = template or _DEFAULT_TEMPLATE
        self.windows = [WindowRow(self, 0, question.context)]

    @property
    def is_done(self) -> bool:
        """Whether every window is answered."""
        return all(window.end is not None for window in self.windows)

    def fill(self, context: str) -> str:
        """What the model reads for a window of the context."""
        values = {"question": self.question.question, "context": context}
        return _PLACES.sub(lambda place: values[place[1]], self._template)

    def divide(self) -> list[WindowRow]:
        """Puts smaller windows in the place of those that were too long, and returns them."""
        made: list[WindowRow] = []
        for at, window in reversed(list(enumerate(self.windows))):
            if window.refusal is not None:
                smaller = window.smaller(window.refusal)
                self.windows[at : at + 1] = smaller
                made[:0] = smaller
        return made

    def answers(self) -> list[FoundAnswer]:
        """The answers of the windows, best first, each text once."""
        found = [window.answer for window in self.windows if window.answer is not None]
        best: dict[str, FoundAnswer] = {}
        for answer in sorted(found, key=lambda answer: -answer.score):
            if answer.text:
                best.setdefault(answer.text, answer)
        return list(best.values())[: self.question.top_k]


class GenerativeAnswerer:
    """Has the engine write an answer for each window of the context."""

    def __init__(self, engine: InferenceEngine, settings: InferenceSettings) -> None:
        self._engine = engine
        self._settings = settings

    async def answer(self, question: Question, manifest: Manifest, route: Route) -> Answers:
        """The answers of an encoder-decoder; raises a ServiceError."""
        if question.max_answer_tokens:
            raise InvalidOptionError(
                f"max_answer_tokens does not apply: {manifest.name} generates its answers; set "
                "options.max_new_tokens",
                field="max_answer_tokens",
            )
        reading = Reading(question, manifest.template)
        account = await self._run(reading, route)
        windows = len(reading.windows)
        warnings = windows_warning("context", windows) + account.warnings
        return Answers(reading.answers(), 0.0, windows, account, warnings)

    async def _run(self, reading: Reading, route: Route) -> Account:
        deadline = reading.question.deadline
        with running(self._engine, route, deadline, self._settings) as run:
            run.add(reading.windows)
            while not reading.is_done:
                await run.step()
                if any(window.refusal is not None for window in reading.windows):
                    await run.add_cut(reading.divide)
        return run.account.close()
