"""Translation through a third language, where no model serves the pair."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from engine.contract.events import worst
from engine.contract.options import Options
from services.inference.errors import TextTooLongError
from services.inference.models.catalogue import Leg
from services.inference.rows.account import Account
from services.inference.tasks.translation.document import (
    DocumentEnd,
    PivotLanguage,
    TranslatedSegment,
)
from services.inference.tasks.translation.translator import (
    Output,
    TranslationRequest,
    Translator,
)
from services.inference.text.terms import TermEntry, TermMatch


class PivotTranslator(Translator):
    """Translates with one model where one serves the pair, else with two."""

    def _stream(self, job: TranslationRequest, live: bool) -> AsyncGenerator[Output, None]:
        first, *rest = self._catalogue.pick_legs(
            job.source, job.target, job.model, forbid_pivot=job.forbid_pivot
        )
        if not rest:
            return self._by_one(job, first, live)
        return self._by_two(job, first, rest[0], live)

    async def _by_two(
        self, job: TranslationRequest, first: Leg, second: Leg, live: bool
    ) -> AsyncGenerator[Output, None]:
        """The first model's translations are whole before the second one begins.

        Segments are those of the second, with its scores and tokens; their source is what they were
        translated from.
        """
        to_pivot = replace(
            job,
            target=first.target,
            model=first.variant.manifest.base_model,
            generation=_without_details(job.generation),
        )
        halfway = await self.translate(to_pivot)
        pivot = PivotLanguage(first.target, halfway.account.variant)
        from_pivot = replace(
            job,
            contents=halfway.texts,
            source=first.target,
            model=second.variant.manifest.base_model,
            glossary=_kept_terms(job.glossary, halfway.ends),
        )
        try:
            async with aclosing(super()._stream(from_pivot, live)) as outputs:
                async for output in outputs:
                    if isinstance(output, DocumentEnd):
                        yield _joined(halfway.ends[output.content], output, pivot)
                    elif isinstance(output, Account):
                        yield _summed(halfway.account, output)
                    else:
                        yield output
        except TextTooLongError as error:
            message = f"of the translation to {pivot.code}, {error}"
            raise TextTooLongError(message, content=error.content) from error


def _without_details(options: Options) -> Options:
    """How the first model decodes: prefix, length, samples and details are of the answer."""
    return Options(
        priority=options.priority,
        num_beams=options.num_beams,
        length_penalty=options.length_penalty,
        early_stopping=options.early_stopping,
        no_repeat_ngram_size=options.no_repeat_ngram_size,
        repetition_penalty=options.repetition_penalty,
        stop_repetition=options.stop_repetition,
    )


def _kept_terms(glossary: Sequence[TermEntry], ends: Sequence[DocumentEnd]) -> list[TermEntry]:
    """The target terms that the first model's texts have, which the second is to keep."""
    placed = sorted({match.entry_index for end in ends for match in end.glossary_matches})
    terms = dict.fromkeys(glossary[index].target_term for index in placed)
    return [TermEntry(term, term, case_sensitive=True) for term in terms]


def _joined(first: DocumentEnd, second: DocumentEnd, pivot: PivotLanguage) -> DocumentEnd:
    return replace(
        second,
        segments=[_from_source(first.segments, segment) for segment in second.segments],
        finish_reason=worst(first.finish_reason, second.finish_reason),
        input_tokens=first.input_tokens + second.input_tokens,
        output_tokens=first.output_tokens + second.output_tokens,
        warnings=[*first.warnings, *(f'from "{pivot.code}": {w}' for w in second.warnings)],
        glossary_matches=_matches(first.glossary_matches, second.glossary_matches),
        pivot=pivot,
    )


def _from_source(
    first: Sequence[TranslatedSegment], segment: TranslatedSegment
) -> TranslatedSegment:
    """A segment of the second model, with the source of all that it was translated from."""
    of = [
        each
        for each in first
        if each.target_start < segment.source_end and segment.source_start < each.target_end
    ]
    # What is a sentence to the second model alone stands between those of the first.
    before = [each.source_end for each in first if each.target_end <= segment.source_start]
    place = max(before, default=0)
    return replace(
        segment,
        source_start=min((each.source_start for each in of), default=place),
        source_end=max((each.source_end for each in of), default=place),
        finish_reason=worst(segment.finish_reason, *(each.finish_reason for each in of)),
        quality=_least([segment.quality, *(each.quality for each in of)]),
    )


def _least(qualities: Sequence[float | None]) -> float | None:
    """An answer is no better than what it was made of; unknown where a part of it is."""
    known = [each for each in qualities if each is not None]
    return min(known) if len(known) == len(qualities) else None


def _matches(first: Sequence[TermMatch], second: Sequence[TermMatch]) -> list[TermMatch]:
    """Where both models kept to a term."""
    targets = {(each.source_start, each.source_end): each for each in second}
    pairs = ((each, targets.get((each.target_start, each.target_end))) for each in first)
    return [
        replace(match, target_start=other.target_start, target_end=other.target_end)
        for match, other in pairs
        if other is not None
    ]


def _summed(first: Account, second: Account) -> Account:
    account = Account.joined([first, second])
    account.variant = second.variant
    account.first_token = second.started - first.started + second.first_token
    return account
