"""How a checkpoint wants its sources: languages, their codes, the template. Parts of a manifest."""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.contract.languages import language_distance
from engine.contract.manifest import Task
from engine.model.card import stated_sources
from engine.model.checkpoint import Checkpoint, CheckpointError
from engine.model.families.languages import (
    bcp47,
    fitting_pairs,
    language_name,
    language_tag,
    single_language,
)
from engine.model.tokenizers.tokenizer import (
    CODED_CLASSES,
    CheckpointTokenizer,
    load_tokenizer,
    stated_languages,
)

_OPUS = re.compile(r"opus-mt-(?:tc-[a-z]+-)?([A-Za-z_]+)-([A-Za-z_]+)")
_PLACE = re.compile(r"\{\w+\}")

T5_TEMPLATE = "translate {source} to {target}: {text}"

QUESTION_TEMPLATE = "question: {question}  context: {context}"
"""T5's for SQuAD (Raffel et al. 2020, arXiv:1910.10683, appendix D.15)."""


@dataclass(frozen=True)
class Wish:
    """What a user asks for; languages are BCP-47 or the checkpoint's own codes, "" is any.

    `source` may be several, between commas.
    """

    task: Task
    source: str = ""
    target: str = ""
    template: str = ""

    @property
    def sources(self) -> list[str]:
        """The languages of `source`."""
        return [code.strip() for code in self.source.split(",") if code.strip()]


@dataclass(frozen=True)
class SourcePlan:
    """The fields of the manifest with the same names; see there."""

    language_pairs: tuple[tuple[str, str], ...] = ()
    source_languages: tuple[str, ...] = ()
    target_languages: tuple[str, ...] = ()
    language_codes: dict[str, str] = field(default_factory=dict)
    source_format: dict[str, Any] = field(default_factory=dict)
    template: str = ""
    forced_bos_ids: dict[str, int] = field(default_factory=dict)
    decoder_start_ids: dict[str, int] = field(default_factory=dict)


def plan_source(checkpoint: Checkpoint, tokenizer: CheckpointTokenizer, wish: Wish) -> SourcePlan:
    """The plan for an encoder-decoder.

    Raises:
        CheckpointError: the languages are not known or not served, or the template is wrong.

    """
    _check_template(wish)
    ids, name = tokenizer.codes, tokenizer.name
    if name in (*CODED_CLASSES, "M2M100Tokenizer") and not ids:
        raise CheckpointError(f"{checkpoint.folder}: its {name} has no language codes.")
    if ids and name in ("MarianTokenizer", "T5Tokenizer"):
        return _multi_target(checkpoint, tokenizer, wish)
    if ids:
        return _coded(checkpoint, tokenizer, wish)
    return _plain(checkpoint, tokenizer, wish)


def _coded(checkpoint: Checkpoint, tokenizer: CheckpointTokenizer, wish: Wish) -> SourcePlan:
    """M2M100, NLLB, mBART: a code in every source, and one that starts the answer."""
    ids = tokenizer.codes
    tags = bcp47(ids)
    by_id = {ids[code]: tag for tag, code in tags.items()}
    fixed = by_id.get(_fixed_language(checkpoint), "")
    target = _tag_of(wish.target, tags) or fixed
    if wish.task != "translation":
        return _one_language(checkpoint, tokenizer, wish, tags)
    sources = list(dict.fromkeys(_tag_of(code, tags) for code in wish.sources)) or list(tags)
    targets = [target] if target else list(tags)
    starts = {tag: ids[tags[tag]] for tag in targets}
    by_start = tokenizer.name == "MBartTokenizer"
    used = {tag: tags[tag] for tag in tags if tag in sources or tag in targets}
    return SourcePlan(
        **_languages(sources, targets),
        language_codes=used,
        source_format=_frame(tokenizer)
        | {"language_ids": {tag: ids[code] for tag, code in used.items()}},
        template=wish.template,
        forced_bos_ids={} if by_start else starts,
        decoder_start_ids=starts if by_start else {},
    )


def _one_language(
    checkpoint: Checkpoint, tokenizer: CheckpointTokenizer, wish: Wish, tags: dict[str, str]
) -> SourcePlan:
    """A multilingual checkpoint for another task: texts of one language, and answers in it."""
    source = _tag_of(wish.source, tags)
    if not source:
        raise CheckpointError(
            f"{checkpoint.folder} puts a language's code into every text: give --source."
        )
    target = _tag_of(wish.target, tags) or source
    frame, ids = _frame(tokenizer), tokenizer.codes
    code = ids[tags[source]]
    fixed = {side: [code if part == "source" else part for part in frame[side]] for side in frame}
    start = {"": ids[tags[target]]}
    by_start = tokenizer.name == "MBartTokenizer"
    return SourcePlan(
        source_languages=(source,),
        target_languages=(target,),
        language_codes={tag: tags[tag] for tag in (source, target)},
        source_format=fixed,
        template=_template(checkpoint, wish),
        forced_bos_ids={} if by_start else start,
        decoder_start_ids=start if by_start else {},
    )


def _frame(tokenizer: CheckpointTokenizer) -> dict[str, list[int | str]]:
    """Where the class puts the source's code: before the text, or after its end."""
    legacy = tokenizer.stated.config.get("legacy_behaviour") is True
    if tokenizer.name == "MBartTokenizer" or (tokenizer.name == "NllbTokenizer" and legacy):
        return {"prefix": [], "suffix": [tokenizer.eos_id, "source"]}
    return {"prefix": ["source"], "suffix": [tokenizer.eos_id]}


def _fixed_language(checkpoint: Checkpoint) -> int:
    """The id that every answer starts with, if `config.json` names one (mBART fine-tuned)."""
    forced = checkpoint.generation.forced_bos_id
    return int(forced if forced is not None else checkpoint.hf.get("decoder_start_token_id") or -1)


def _multi_target(checkpoint: Checkpoint, tokenizer: CheckpointTokenizer, wish: Wish) -> SourcePlan:
    """Marian with ">>fra<<" before a text, MADLAD-400 with "<2fr>"."""
    _only_translates(checkpoint, wish)
    ids = tokenizer.codes
    tags = bcp47(ids)
    sources = list(dict.fromkeys(map(_any_tag, wish.sources)))
    if not sources and tokenizer.name == "T5Tokenizer":
        sources = list(tags)  # MADLAD-400 reads what it writes
    sources = sources or _named_sources(checkpoint)
    if not sources:
        raise CheckpointError(
            f"{checkpoint.folder} does not tell what it translates from: give --source."
        )
    target = _tag_of(wish.target, tags)
    targets = [target] if target else list(tags)
    return SourcePlan(
        **_languages(sources, targets),
        language_codes={tag: tags[tag] for tag in targets},
        source_format={
            "prefix": [*tokenizer.code_lead, "target"],
            "suffix": [tokenizer.eos_id],
            "language_ids": {tag: ids[tags[tag]] for tag in targets},
        },
        template=wish.template,
    )


def _plain(checkpoint: Checkpoint, tokenizer: CheckpointTokenizer, wish: Wish) -> SourcePlan:
    """No language codes: one pair, or several that the template names."""
    before, after = tokenizer.frame()
    frame = {"prefix": before, "suffix": after}
    forced = checkpoint.generation.forced_bos_id
    shared: dict[str, Any] = {
        "source_format": frame,
        "forced_bos_ids": {} if forced is None else {"": forced},
    }
    if wish.task != "translation":
        source = _any_tag(wish.source)
        return SourcePlan(
            source_languages=(source,) if source else (),
            target_languages=(_any_tag(wish.target) or source,) if source else (),
            template=_template(checkpoint, wish),
            **shared,
        )
    pairs = _pairs(checkpoint, wish)
    template, names = _translation_template(checkpoint, wish, pairs)
    return SourcePlan(
        language_pairs=tuple(pairs),
        language_codes=names,
        template=template,
        **shared,
    )


def _pairs(checkpoint: Checkpoint, wish: Wish) -> list[tuple[str, str]]:
    sources, target = [_any_tag(code) for code in wish.sources], _any_tag(wish.target)
    named = named_pair(checkpoint.folder, checkpoint.hf)
    stated = (
        []
        if (sources and target) or all(named)
        else fitting_pairs(checkpoint.hf, ("", target)).values()
    )
    fitting = [pair for pair in stated if not sources or pair[0] in sources]
    if fitting:
        return fitting
    sources = sources or _named_sources(checkpoint)
    target = target or named[1]
    if not sources or not target:
        raise CheckpointError(
            f"{checkpoint.folder} does not tell its languages: give --source and --target."
        )
    return [(source, target) for source in dict.fromkeys(sources) if source != target]


def _named_sources(checkpoint: Checkpoint) -> list[str]:
    """The languages that a checkpoint translates from, where it tells them; several for a group."""
    source, target = named_pair(checkpoint.folder, checkpoint.hf)
    if source or checkpoint.family != "marian":  # cards of others list what they were trained on
        return [source] if source else []
    tags = filter(None, map(single_language, stated_sources(checkpoint.folder)))
    found = [tag for tag in dict.fromkeys(tags) if tag != target]
    # "fr" serves "fr-CA".
    wide = [tag for tag in found if "-" not in tag]
    return [tag for tag in found if tag in wide or not any(map(_serves(tag), wide))]


def _serves(asked: str) -> Callable[[str], bool]:
    return lambda served: language_distance(served, asked) is not None


def _translation_template(
    checkpoint: Checkpoint, wish: Wish, pairs: list[tuple[str, str]]
) -> tuple[str, dict[str, str]]:
    """T5 is told the languages by their English names; the other families know them."""
    # The prefix that a checkpoint states is that of one pair.
    prefix = checkpoint.generation.prefix if len(pairs) == 1 else ""
    usual = T5_TEMPLATE if checkpoint.family == "t5" else ""
    template = wish.template or (f"{prefix}{{text}}" if prefix else usual)
    names: dict[str, str] = {}
    if not {"{source}", "{target}"} & set(_PLACE.findall(template)):
        return template, names
    for code in dict.fromkeys(code for pair in pairs for code in pair):
        name = language_name(code)
        if name is None:
            raise CheckpointError(
                f"the model is told languages by their names, and {code!r} has none here: give "
                '--template, such as "translate English to Klingon: {text}".'
            )
        names[code] = name
    return template, names


def _template(checkpoint: Checkpoint, wish: Wish) -> str:
    if wish.template:
        return wish.template
    if wish.task == "question-answering":
        return QUESTION_TEMPLATE
    prefix = checkpoint.generation.prefix
    return f"{prefix}{{text}}" if prefix else ""


def _check_template(wish: Wish) -> None:
    parts = ("{question}", "{context}") if wish.task == "question-answering" else ("{text}",)
    missing = [part for part in parts if part not in wish.template]
    if wish.template and missing:
        raise CheckpointError(
            f"--template {wish.template!r} has no {missing[0]}, which the task {wish.task} fills."
        )
    places = _PLACE.findall(wish.template)
    known = (*parts, "{source}", "{target}") if wish.task == "translation" else parts
    unknown = [place for place in places if place not in known]
    twice = [part for part in parts if places.count(part) > 1]
    if unknown or twice:
        raise CheckpointError(
            f"--template {wish.template!r} has {(unknown or twice)[0]} in it"
            f"{', which nothing fills' if unknown else ' twice'}."
        )


def named_pair(folder: Path, hf: Mapping[str, Any]) -> tuple[str, str]:
    """The pair that a checkpoint names; "" for what it does not tell, and for a group."""
    stated = str(hf.get("source_language") or ""), str(hf.get("target_language") or "")
    if not all(stated):
        stated = stated_languages(folder)
    if not all(stated):
        match = _OPUS.search(_origin(folder))
        stated = (match[1], match[2]) if match else ("", "")
    source, target = (single_language(code) if code else None for code in stated)
    return source or "", target or ""


def guess_generation_task(folder: Path, hf: Mapping[str, Any]) -> Task | None:
    """The task of an encoder-decoder; None where it may do several."""
    if hf["model_type"] in ("marian", "marian_nmt"):
        return "translation"
    specific = {key.partition("_")[0] for key in hf.get("task_specific_params") or {}}
    if specific == {"summarization"}:
        return "summarization"
    if specific == {"translation"}:
        return "translation"
    if specific:
        return None
    sizes = (hf.get(name) for name in ("vocab_size", "decoder_vocab_size"))
    source, target = (size if isinstance(size, int) else None for size in sizes)
    tokenizer = load_tokenizer(folder, source or sys.maxsize, target)
    if tokenizer.codes or all(named_pair(folder, hf)):
        return "translation"
    return None


def _origin(folder: Path) -> str:
    """The name of a checkpoint's folder; in the hub's cache it is that of the repository."""
    parts = [part for part in folder.parts if part.startswith("models--")]
    return parts[-1] if parts else folder.name


def _tag_of(code: str, tags: dict[str, str]) -> str:
    """The tag for a tag or one of the checkpoint's own codes; "" for "".

    Raises:
        CheckpointError: the checkpoint does not serve the language.

    """
    if not code or code in tags:
        return code
    for tag, own in tags.items():
        if code in (own, own.strip("><_")):
            return tag
    far = {tag: language_distance(tag, code) for tag in tags}
    near = {tag: distance for tag, distance in far.items() if distance is not None}
    if near:
        return min(near, key=near.__getitem__)
    raise CheckpointError(
        f"the checkpoint does not know the language {code!r}; it knows {_some(tags)}."
    )


def _any_tag(code: str) -> str:
    """The BCP-47 tag of a language that a user names; "" for "".

    Raises:
        CheckpointError: it is none.

    """
    tag = language_tag(code) if code else ""
    if tag is None:
        raise CheckpointError(f"{code!r} is no language: give a BCP-47 code, such as en or pt-BR.")
    return tag


def _some(tags: Iterable[str]) -> str:
    ordered = sorted(tags)
    rest = f" and {len(ordered) - 20} more" if len(ordered) > 20 else ""
    return ", ".join(ordered[:20]) + rest


def _languages(sources: list[str], targets: list[str]) -> dict[str, Any]:
    if len(sources) == len(targets) == 1:
        return {"language_pairs": ((sources[0], targets[0]),)}
    return {"source_languages": tuple(sources), "target_languages": tuple(targets)}


def _only_translates(checkpoint: Checkpoint, wish: Wish) -> None:
    if wish.task != "translation":
        raise CheckpointError(
            f"{checkpoint.folder} is a translation model: it can't do {wish.task}."
        )
