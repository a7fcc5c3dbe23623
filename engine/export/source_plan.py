"""How a checkpoint wants its sources: languages, their codes, the template. Parts of a manifest."""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.contract.manifest import Task
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
    """What a user asks for; languages are BCP-47 or the checkpoint's own codes, "" is any."""

    task: Task
    source: str = ""
    target: str = ""
    template: str = ""


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
    if ids and name == "MarianTokenizer":
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
    source = _tag_of(wish.source, tags)
    target = _tag_of(wish.target, tags) or fixed
    if wish.task != "translation":
        return _one_language(checkpoint, tokenizer, wish, tags)
    sources = [source] if source else list(tags)
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
    """Marian with ">>fra<<" before a text."""
    _only_translates(checkpoint, wish)
    ids = tokenizer.codes
    tags = bcp47(ids)
    source = _any_tag(wish.source) or named_pair(checkpoint.folder, checkpoint.hf)[0]
    if not source:
        raise CheckpointError(
            f"{checkpoint.folder} does not tell what it translates from: give --source."
        )
    target = _tag_of(wish.target, tags)
    targets = [target] if target else list(tags)
    return SourcePlan(
        **_languages([source], targets),
        language_codes={tag: tags[tag] for tag in targets},
        source_format={
            "prefix": ["target"],
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
    wish = replace(wish, source=_any_tag(wish.source), target=_any_tag(wish.target))
    if wish.task != "translation":
        return SourcePlan(
            source_languages=(wish.source,) if wish.source else (),
            target_languages=(wish.target or wish.source,) if wish.source else (),
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
    if wish.source and wish.target:
        return [(wish.source, wish.target)]
    if not wish.source and not wish.target:
        named = named_pair(checkpoint.folder, checkpoint.hf)
        if all(named):
            return [named]
    fitting = fitting_pairs(checkpoint.hf, (wish.source, wish.target))
    if not fitting:
        raise CheckpointError(
            f"{checkpoint.folder} does not tell its languages: give --source and --target."
        )
    return list(fitting.values())


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
    """The pair that a checkpoint names; "" for what it does not tell or for many languages."""
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
    if hf["model_type"] == "marian_nmt":
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
    """The BCP-47 tag for a tag or one of the checkpoint's own codes; "" for ""."""
    if not code or code in tags:
        return code
    for tag, own in tags.items():
        if code in (own, own.strip("><_")) or tag in (code.lower(), language_tag(code)):
            return tag
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
