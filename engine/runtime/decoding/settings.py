"""How one request is decoded: its options, over the manifest's defaults, over the built-in ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from engine.contract.manifest import Manifest
from engine.contract.options import EarlyStopping, InvalidOptionsError, Options, wrong


@dataclass(frozen=True)
class Decoding:
    """What holds for every row of a request; the names are those of `Options`.

    `max_new_tokens` is at least 1. The last block comes from the manifest alone.
    """

    max_new_tokens: int
    min_new_tokens: int = 0
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False
    num_hypotheses: int = 1
    sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0

    start_id: int = 0
    forced_bos_id: int | None = None
    forced_eos_id: int | None = None
    suppressed_ids: tuple[int, ...] = ()
    begin_suppressed_ids: tuple[int, ...] = ()
    bad_words: tuple[tuple[int, ...], ...] = ()
    renormalize_logits: bool = False

    @property
    def constrained(self) -> bool:
        """Whether what the model says is changed before a token is chosen."""
        return bool(
            self.min_new_tokens
            or self.no_repeat_ngram_size
            or self.repetition_penalty != 1.0
            or self.suppressed_ids
            or self.begin_suppressed_ids
            or self.bad_words
        )

    def forced(self, prefix: Sequence[int], limit: int) -> dict[int, int]:
        """The tokens that must be made, by their position in an answer of at most `limit`.

        A forced `prefix` is part of the prompt, as `decoder_input_ids` are in `generate`, and a
        forced BOS then stands before it.
        """
        bos = [] if self.forced_bos_id is None else [self.forced_bos_id]
        forced = dict(enumerate([*bos, *prefix]))
        if self.forced_eos_id is not None:
            forced[limit - 1] = self.forced_eos_id
        return forced


_SAMPLING = ("temperature", "top_k", "top_p", "seed")
_BEAMS = ("length_penalty", "early_stopping")
_MERGED = {field.name for field in fields(Decoding)} & {field.name for field in fields(Options)}


def with_pair(options: Options, manifest: Manifest) -> Options:
    """The options with what a model of one pair, or of one language, need not be told."""
    pairs = manifest.language_pairs
    if options.source_language and options.target_language:
        return options
    if (
        len(pairs) != 1
        and not len(manifest.source_languages) == len(manifest.target_languages) == 1
    ):
        return options
    source, target = manifest.example_languages
    return replace(
        options,
        source_language=options.source_language or source,
        target_language=options.target_language or target,
    )


def resolve(options: Options, manifest: Manifest) -> Decoding:
    """The decoding that `options` ask for of the model of `manifest`.

    Raises:
        InvalidOptionsError: the options contradict each other or the model.

    """
    given = {
        name: getattr(options, name)
        for name in (*_MERGED, "seed")
        if getattr(options, name) is not None
    }
    values = {name: manifest.generation[name] for name in _MERGED & set(manifest.generation)}
    _choose_method(given, values)
    values |= given
    _check_method(given, values)
    values.pop("seed", None)
    _settle_hypotheses(given, values)
    _settle_lengths(given, values, manifest)
    _check_languages(options, manifest)
    stated, target = manifest.generation, options.target_language
    starts, forced = manifest.decoder_start_ids, manifest.forced_bos_ids
    return Decoding(
        **values,
        start_id=starts.get(target, starts.get("", manifest.decoder_start_id)),
        forced_bos_id=forced.get(target, forced.get("")),
        forced_eos_id=stated.get("forced_eos_id"),
        suppressed_ids=tuple(stated.get("suppressed_ids", ())),
        begin_suppressed_ids=tuple(stated.get("begin_suppressed_ids", ())),
        renormalize_logits=stated.get("renormalize_logits", False),
        bad_words=tuple(
            tuple(word) for word in stated.get("bad_words", ()) if list(word) != [manifest.eos_id]
        ),
    )


def example_options(manifest: Manifest, **options: Any) -> Options:
    """Options as a request has them that names the manifest's example languages."""
    source, target = manifest.example_languages
    return Options(stream=False, **options, source_language=source, target_language=target)


def greedy_decoding(manifest: Manifest) -> Decoding:
    """How the answers to a manifest's example languages are decoded greedily."""
    return resolve(example_options(manifest, num_beams=1, sample=False), manifest)


def _choose_method(given: Mapping[str, Any], values: dict[str, Any]) -> None:
    """Where request and manifest name different methods the request's holds."""
    if given.get("sample") and given.get("num_beams", 1) > 1:
        rule = f"can't be combined with num_beams {given['num_beams']}: it needs num_beams 1"
        raise wrong("sample", rule)
    if given.get("sample"):
        values["num_beams"] = 1
    elif "num_beams" in given or values.get("num_beams", 1) > 1:
        values["sample"] = values.get("sample", False) and given.get("num_beams", 2) == 1


def _check_method(given: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    for name in _SAMPLING:
        if name in given and not values.get("sample"):
            raise wrong(name, "needs sample: true")
    for name in _BEAMS:
        if name in given and values.get("num_beams", 1) == 1:
            raise wrong(name, "needs num_beams above 1")


def _settle_hypotheses(given: Mapping[str, Any], values: dict[str, Any]) -> None:
    beams, count = values.get("num_beams", 1), values.get("num_hypotheses", 1)
    if "num_hypotheses" in given and count > beams:
        raise wrong("num_hypotheses", f"is {count}, but num_beams only {beams}")
    values["num_hypotheses"] = min(count, beams)


def _settle_lengths(given: Mapping[str, Any], values: dict[str, Any], manifest: Manifest) -> None:
    longest = manifest.max_target_tokens
    values["max_new_tokens"] = most = min(values.get("max_new_tokens", 0) or longest, longest)
    least = values.get("min_new_tokens", 0)
    if least > most and "min_new_tokens" in given:
        source = "" if given.get("max_new_tokens") else ", which is the model's"
        raise wrong("min_new_tokens", f"is {least}, above max_new_tokens {most}{source}")
    values["min_new_tokens"] = min(least, most)


def _check_languages(options: Options, manifest: Manifest) -> None:
    source, target = options.source_language, options.target_language
    sides = (
        ("source_language", source, manifest.source_languages),
        ("target_language", target, manifest.target_languages),
    )
    for name, language, known in sides:
        if language and known and language not in known:
            raise wrong(name, f"{language!r} is not one of this model's languages")
    if not target and manifest.target_languages and "" not in manifest.forced_bos_ids:
        raise wrong("target_language", "must be set: this model has several")
    pairs = manifest.language_pairs
    if source and target and pairs and [source, target] not in [list(pair) for pair in pairs]:
        message = f"this model does not translate {source!r} to {target!r}"
        raise InvalidOptionsError(message, "target_language")
