"""What becomes of the rows that the engine lost: they are sent again, for a while.

Where they go is the word of the call's `Route`: to another variant of the model at once if there is
one and the caller left the choice, else to the same variant, when it is back.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable

from engine.contract.options import Options
from services.inference.errors import ModelNotReadyError, ServiceError, ServiceUnavailableError
from services.inference.models.catalogue import Catalogue
from services.inference.rows.engine import Lost

_PAUSE = 0.25
# A text may be what ends the engine: one that was lost more often while it ran is not tried again.
_MOST_BEGUN = 2


class Route:
    """The way of one call from variant to variant of a model.

    `asked` is what the caller named: a caller who named a variant gets that one or none.
    """

    def __init__(self, catalogue: Catalogue, variant: str, asked: str) -> None:
        self.variant = variant
        self._catalogue = catalogue
        self._asked = asked

    def other(self, error: ServiceError) -> str:
        """The variant to go on with behind this error of the present one; "" to stay.

        A Triton that is away takes all its variants with it, and a model whose line is full is not
        lost.
        """
        if not isinstance(error, ModelNotReadyError) or error.retry_delay is not None:
            return ""
        other = self._catalogue.other(self.variant, self._asked)
        return other.name if other is not None else ""

    def take(self, variant: str) -> None:
        """Goes on with another variant; new calls pass over the lost one until it answers."""
        self._catalogue.lose_variant(self.variant)
        self.variant = variant


class Recovery:
    """Decides for one call whether to go on, and when."""

    def __init__(self, patience: float) -> None:
        """`patience` are the seconds that a call waits for the engine to come back."""
        self._patience = patience
        self._since: float | None = None
        self._begun: Counter[object] = Counter()
        self._paused = False
        self.accepted = False

    def lose(self, lost: Lost, rows: Iterable[object], *, has_other: bool = False) -> None:
        """Notes that rows were lost; raises the error when the call is not to go on.

        With `has_other`, another variant goes on at once: nothing is waited for.
        """
        self.accepted = True
        if lost.begun:
            self._begun.update(rows)
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        is_over = now - self._since >= self._patience and not has_other
        is_poison = max(self._begun.values(), default=0) > _MOST_BEGUN
        if is_over or is_poison or not isinstance(lost.error, ServiceUnavailableError):
            raise lost.error
        self._paused = not has_other

    def progress(self) -> None:
        """Notes that the engine answers: from now on the call was `accepted`."""
        self._since = None
        self.accepted = True

    def settle(self, row: object) -> None:
        """Notes that a row has its answer."""
        self._begun.pop(row, None)

    async def pause(self) -> None:
        """Waits a moment behind a loss."""
        if self._paused:
            self._paused = False
            await asyncio.sleep(_PAUSE)


class Transcript:
    """What a row has said; when it begins anew, only what is new counts."""

    def __init__(self) -> None:
        self._said = ""
        self._at = 0

    def prefix(self, options: Options) -> str:
        """What it has said without the last word, which may not be whole, to go on from elsewhere.

        "" where there is none, and where an answer cannot begin with it: bounds on tokens count
        from after the prefix, and details would describe it differently.
        """
        details = options.token_log_probs or options.alignment or (options.num_hypotheses or 1) > 1
        if details or options.max_new_tokens or options.min_new_tokens:
            return ""
        return self._said.rpartition(" ")[0].rstrip()

    def restart(self) -> None:
        """The row is run again."""
        self._at = 0

    def add(self, text: str, *, ends: bool = False) -> str:
        """What of the text is new; ModelNotReadyError when the row says another thing now.

        Decoding says the same again but for sampling without a seed and for ties of numbers.
        """
        known = self._said[self._at : self._at + len(text)]
        self._at += len(text)
        if not text.startswith(known) or (ends and self._at < len(self._said)):
            raise ModelNotReadyError("the model restarted, and gave a different answer")
        new = text[len(known) :]
        self._said += new
        return new
