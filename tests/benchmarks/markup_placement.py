# ruff: noqa: T201
"""Measures how well tags and placeholders find their places in translations.

    python -m tests.benchmarks.markup_placement [--sentences 300]

Words that the example model copies (names, numbers) tell where things belong: such a word stands
once in the source and once in the translation.  Three questions:

- Which attention aligns best: which decoder layers, and that of the step that makes a token or of
  the step that reads it.  (Copied words are then not used for the alignment.)
- Do tags find their words better by alignment, or by markers in the model's text?
- What should the model see in the place of a placeholder, and of a term of a glossary?
"""

import argparse
import json
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import sacrebleu
import torch
from transformers import AutoTokenizer, PegasusForConditionalGeneration

from engine.contract.events import Link
from services.inference.markup import MarkedSegment, render
from services.inference.markup.passage import Atom, AtomKind, Mark, MarkKind, Passage, PassagePart
from services.inference.markup.translation.placement import place, tree
from services.inference.markup.translation.words import Word, words
from services.inference.text.media_types import MarkupKind

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "examples/checkpoints/en-fr"
TEST_SET = ROOT / "examples/data/en-fr.test.jsonl"
BATCH = 32

# Terms with one usual translation in the corpus.
TERMS = {
    "library": "bibliothèque", "file": "fichier", "package": "paquet", "server": "serveur",
    "network": "réseau", "user": "utilisateur", "data": "données", "interface": "interface",
    "tool": "outil", "font": "police", "game": "jeu", "image": "image", "language": "langage",
    "documentation": "documentation", "module": "module", "database": "base de données",
    "command": "commande", "program": "programme", "plugin": "greffon", "browser": "navigateur",
}  # fmt: skip


@dataclass(frozen=True)
class Pair:
    source: str
    reference: str


@dataclass(frozen=True)
class Translation:
    """A text, its tokens' spans, and attention [layer, position, source token] by both steps."""

    text: str
    spans: list[tuple[int, int]]
    source_spans: list[tuple[int, int]]
    attention: torch.Tensor

    def links(self, layers: Sequence[int], shift: int) -> list[Link]:
        """By the mean of those layers at the step that makes a token (0) or that reads it (1)."""
        mean = self.attention[list(layers)].mean(0)
        found = []
        for index, (start, end) in enumerate(self.spans):
            row = mean[min(index + shift, len(mean) - 1), : len(self.source_spans)]
            best = int(row.argmax())
            found.append((start, end, *self.source_spans[best], float(row[best])))
        return found


Rule = Callable[[Translation], list[Link]]


class Model:
    """The example checkpoint in PyTorch."""

    def __init__(self) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
        self.model = PegasusForConditionalGeneration.from_pretrained(
            CHECKPOINT, attn_implementation="eager", dtype=torch.float32
        ).eval()
        self.layers: int = self.model.config.decoder_layers

    @torch.inference_mode()
    def translate(self, sources: Sequence[str]) -> list[Translation]:
        order = sorted(range(len(sources)), key=lambda index: len(sources[index]))
        results: dict[int, Translation] = {}
        for at in range(0, len(order), BATCH):
            rows = order[at : at + BATCH]
            results |= dict(zip(rows, self._batch([sources[row] for row in rows]), strict=True))
        return [results[index] for index in range(len(sources))]

    def _batch(self, sources: Sequence[str]) -> list[Translation]:
        encoded = self.tokenizer(
            list(sources), return_tensors="pt", padding=True, return_offsets_mapping=True
        )
        offsets = encoded.pop("offset_mapping").tolist()
        encoded.pop("token_type_ids", None)
        ids = self.model.generate(**encoded, do_sample=False, num_beams=1, max_new_tokens=200)
        attention = self.model(**encoded, decoder_input_ids=ids, output_attentions=True)
        heads = torch.stack(attention.cross_attentions).mean(2)  # [layer, row, position, source]
        return [
            self._translation(row.tolist(), [tuple(each) for each in offset], heads[:, index])
            for index, (row, offset) in enumerate(zip(ids, offsets, strict=True))
        ]

    def _translation(
        self, ids: list[int], offsets: list[tuple[int, int]], attention: torch.Tensor
    ) -> Translation:
        end = ids.index(1, 1) if 1 in ids[1:] else len(ids)
        lengths = [
            len(self.tokenizer.decode(ids[1:stop], skip_special_tokens=True))
            for stop in range(1, end + 1)
        ]
        text = str(self.tokenizer.decode(ids[1:end], skip_special_tokens=True))
        spans = list(pairwise(lengths))
        source_spans = [span for span in offsets if span[1] > span[0]]
        # Without the end of sequence, which many positions attend to.
        return Translation(text, spans, source_spans, attention[:, : end + 1])


def copied_words(source: str, target: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The spans of words of three letters or more that stand once in both."""

    def once(text: str) -> dict[str, tuple[int, int]]:
        spans: dict[str, list[tuple[int, int]]] = {}
        for match in re.finditer(r"\w+", text):
            spans.setdefault(match[0], []).append(match.span())
        return {word: each[0] for word, each in spans.items() if len(each) == 1}

    there = once(target)
    return [
        (span, there[word])
        for word, span in once(source).items()
        if word in there and len(word) >= 3
    ]


def element_range(source: str, found: list[Word], start: int, end: int) -> tuple[int, int]:
    """The span of the translation that an element around `source[start:end]` gets."""
    marks = [Mark(start, "<b>", MarkKind.OPEN, 0, 0, 1), Mark(end, "</b>", MarkKind.CLOSE, 0, 0, 1)]
    root = tree(marks, source)
    place(root, found)
    first, last = root.children[0].first, root.children[0].last
    return (found[first].start, found[last - 1].end) if first < last else (0, 0)


def tag_scores(
    pairs: Sequence[Pair],
    answers: Sequence[Translation],
    rule: Rule,
    *,
    copies: bool,
) -> tuple[float, float, int]:
    """How often a tag around a copied word encloses just it, and one around some words is right.

    Right: all copied words of the span are inside, and no other.
    """
    chance = random.Random(5)
    exact = consistent = total = spans = 0
    for pair, answer in zip(pairs, answers, strict=True):
        gold = copied_words(pair.source, answer.text)
        found = with_copies(answer.text, pair.source, rule(answer), copies=copies)
        for source, target in gold:
            total += 1
            exact += element_range(pair.source, found, *source) == target
        edges = [match.span() for match in re.finditer(r"\w+", pair.source)]
        for _ in range(3):
            if not gold or len(edges) < 8:
                continue
            first = chance.randrange(len(edges) - 5)
            start, end = edges[first][0], edges[first + chance.randrange(1, 5)][1]
            inside = [target for source, target in gold if start <= source[0] < end]
            if not inside:
                continue
            low, high = element_range(pair.source, found, start, end)
            spans += 1
            consistent += all(
                (low <= target[0] and target[1] <= high) == (target in inside) for _, target in gold
            )
    return exact / total, consistent / spans, total


def with_copies(text: str, source: str, links: list[Link], *, copies: bool) -> list[Word]:
    """The words; those that are copied are recognised as such only with `copies`."""
    return words(text, source if copies else re.sub(r"\w", "_", source), links)


def marker_scores(
    model: Model, pairs: Sequence[Pair], answers: Sequence[Translation], left: str, right: str
) -> tuple[float, float, float]:
    """How often markers survive, enclose the right word, and what BLEU is left without them."""
    chosen = []
    for pair, answer in zip(pairs, answers, strict=True):
        gold = copied_words(pair.source, answer.text)
        if gold:
            (start, end), _ = gold[len(gold) // 2]
            marked = (
                f"{pair.source[:start]}{left}{pair.source[start:end]}{right}{pair.source[end:]}"
            )
            chosen.append((pair, pair.source[start:end], marked))
    outputs = [each.text for each in model.translate([marked for _, _, marked in chosen])]
    survived = sum(
        text.count(left.strip()) == 1 and text.count(right.strip()) == 1 for text in outputs
    )
    right_word = sum(
        re.search(
            rf"{re.escape(left.strip())}\s*{re.escape(word)}\s*{re.escape(right.strip())}", text
        )
        is not None
        for (_, word, _), text in zip(chosen, outputs, strict=True)
    )
    plain = [
        re.sub(r"\s+", " ", text.replace(left.strip(), " ").replace(right.strip(), " "))
        for text in outputs
    ]
    references = [pair.reference for pair, _, _ in chosen]
    bleu = sacrebleu.corpus_bleu(plain, [references]).score
    return survived / len(chosen), right_word / len(chosen), bleu


@dataclass(frozen=True)
class Replacement:
    """`source[start:end]` is to come back as `output`, and so it stands in the reference."""

    pair: Pair
    start: int
    end: int
    output: str
    reference: str
    kind: AtomKind


def placeholder_scores(
    model: Model,
    replacements: Sequence[Replacement],
    surface: Callable[[Replacement], str],
    rule: Rule,
) -> tuple[float, float, float]:
    """How often the surface survives once, and BLEU and chrF of what comes out with all means."""
    segments = []
    for each in replacements:
        shown = surface(each)
        text = each.pair.source[: each.start] + shown + each.pair.source[each.end :]
        atom = Atom(
            each.start,
            each.start + len(shown),
            each.output,
            each.kind,
            0,
            0,
            is_masked=each.kind is AtomKind.PLACEHOLDER,
        )
        passage = Passage(text, (PassagePart(0, 0, len(text)),), (), (atom,), {})
        segments.append(MarkedSegment(0, len(text), "", text, passage, text, MarkupKind.PLAIN))
    answers = model.translate([segment.text for segment in segments])
    survived = sum(
        answer.text.count(surface(each)) == 1
        for each, answer in zip(replacements, answers, strict=True)
    )
    outputs = [
        render(segment, answer.text, rule(answer)).text
        for segment, answer in zip(segments, answers, strict=True)
    ]
    assert all(each.output in output for each, output in zip(replacements, outputs, strict=True))
    references = [[each.reference for each in replacements]]
    bleu = sacrebleu.corpus_bleu(outputs, references).score
    chrf = sacrebleu.corpus_chrf(outputs, references).score
    return survived / len(replacements), bleu, chrf


def placeholders_of(pairs: Iterable[Pair]) -> list[Replacement]:
    """A copied word of each pair, replaced by a placeholder in source and reference."""
    forms = ("{name}", "%s", "{0}", "${x}", "%(count)d", "{{ user }}", "https://a.example/b?c=1")
    found = []
    for index, pair in enumerate(pairs):
        gold = copied_words(pair.source, pair.reference)
        if gold:
            (start, end), (low, high) = gold[len(gold) // 2]
            output = forms[index % len(forms)]
            reference = pair.reference[:low] + output + pair.reference[high:]
            found.append(Replacement(pair, start, end, output, reference, AtomKind.PLACEHOLDER))
    return found


def terms_of(pairs: Iterable[Pair]) -> list[Replacement]:
    """A term of TERMS in each pair that has one, on both sides."""
    found = []
    for pair in pairs:
        for term, translation in TERMS.items():
            here = re.findall(rf"\b{term}\b", pair.source)
            there = re.findall(rf"\b{translation}\b", pair.reference)
            if len(here) == len(there) == 1:
                start = pair.source.index(here[0])
                found.append(
                    Replacement(
                        pair, start, start + len(term), translation, pair.reference, AtomKind.TERM
                    )
                )
                break
    return found


def compare_alignments(model: Model, pairs: Sequence[Pair], answers: Sequence[Translation]) -> None:
    """Prints how well tags are placed by the attention of each choice of layers and step."""
    print("\nTags by alignment: around one word, around some words; of how many words")
    every = list(range(model.layers))

    def show(name: str, rule: Rule, *, copies: bool = False) -> None:
        one, some, total = tag_scores(pairs, answers, rule, copies=copies)
        print(f"  {name:44} {one:6.1%} {some:6.1%} {total}")

    for layers in [*([layer] for layer in every), every]:
        for shift, step in enumerate(("makes", "reads")):
            rule = partial(Translation.links, layers=layers, shift=shift)
            show(f"layers {layers}, the step that {step} a token", rule)
    show("no attention, order only", lambda _: [])
    best = partial(Translation.links, layers=every, shift=0)
    show("all layers, with copied words recognised", best, copies=True)


def compare_markers(model: Model, pairs: Sequence[Pair], answers: Sequence[Translation]) -> None:
    """Prints how tags are placed by markers."""
    print("\nTags by markers: survive once, around the word, BLEU without them")
    plain = [
        (answer.text, pair.reference)
        for pair, answer in zip(pairs, answers, strict=True)
        if copied_words(pair.source, answer.text)
    ]
    texts, references = zip(*plain, strict=True)
    bleu = sacrebleu.corpus_bleu(list(texts), [list(references)]).score
    print(f"  {'no markers':44} {'':6} {'':6} {bleu:.2f}")
    for left, right in [(" [ ", " ] "), ('"', '"'), (" <b> ", " </b> "), (" (( ", " )) ")]:
        survived, right_word, bleu = marker_scores(model, pairs, answers, left, right)
        print(f"  {left + 'word' + right:44} {survived:6.1%} {right_word:6.1%} {bleu:.2f}")


def compare_surfaces(
    title: str,
    model: Model,
    replacements: Sequence[Replacement],
    surfaces: Mapping[str, Callable[[Replacement], str]],
) -> None:
    """Prints what becomes of placeholders or terms that are shown to the model in those ways."""
    print(f"\n{title} ({len(replacements)}), shown as: survive once, BLEU, chrF")
    rule = partial(Translation.links, layers=list(range(model.layers)), shift=0)
    for name, surface in surfaces.items():
        survived, bleu, chrf = placeholder_scores(model, replacements, surface, rule)
        print(f"  {name:44} {survived:6.1%} {bleu:.2f} {chrf:.2f}")


def original(each: Replacement) -> str:
    return each.pair.source[each.start : each.end]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=300)
    count = parser.parse_args().sentences
    torch.set_num_threads(1)
    rows = [json.loads(line) for line in TEST_SET.read_text(encoding="utf-8").splitlines()]
    pairs = [Pair(row["source"], row["target"]) for row in rows if len(row["source"]) < 400]
    model = Model()
    chosen = pairs[:count]
    answers = model.translate([pair.source for pair in chosen])
    compare_alignments(model, chosen, answers)
    compare_markers(model, chosen, answers)
    masks = {mask: partial(_constant, mask) for mask in ("X1", "X", "N1", "[1]", "Foo")}
    compare_surfaces(
        "Placeholders",
        model,
        placeholders_of(chosen),
        {"as it is": lambda each: each.output, "the word that it replaced": original, **masks},
    )
    compare_surfaces(
        "Terms",
        model,
        terms_of(pairs)[:count],
        {"source term": original, "target term": lambda each: each.output, "X1": masks["X1"]},
    )


def _constant(text: str, _: Replacement) -> str:
    return text


if __name__ == "__main__":
    main()
