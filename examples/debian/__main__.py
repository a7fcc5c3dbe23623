"""`python -m examples.debian corpus | evaluate`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from engine.commands.terminal import console, failure
from engine.training.corpus import load_pairs
from engine.training.evaluation import accuracy, measure_checkpoint, rouge
from examples.debian.archive import CorpusError
from examples.debian.baselines import lead_sentences, tfidf_classifier
from examples.debian.descriptions import build_description_corpora
from examples.debian.translation import build_translation_corpus

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def corpus(
    folder: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("corpus"),
    target: Annotated[str, typer.Option(help="Language to translate to.")] = "fr",
) -> None:
    """Build the corpora of Debian's package descriptions (needs apt-get, not root)."""
    try:
        sizes = build_translation_corpus(folder, target) | build_description_corpora(folder)
    except CorpusError as error:
        raise failure(error) from error
    for split, pairs in sizes.items():
        console.print(f"{split}: {pairs:,} pairs")


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A Hugging Face folder.")],
    test: Annotated[Path, typer.Argument(help="JSON Lines of pairs.")],
    train: Annotated[Path | None, typer.Option(help="What TF-IDF learns from.")] = None,
    dev: Annotated[Path | None, typer.Option(help="What its penalty is chosen on.")] = None,
) -> None:
    """Print the quality of a checkpoint and of its baseline on held-out texts."""
    pairs = load_pairs(test)
    rows = {str(checkpoint): measure_checkpoint(checkpoint, pairs)}
    sources, targets = [p.source for p in pairs], [p.target for p in pairs]
    if "rouge1" in rows[str(checkpoint)]:
        rows["lead sentence"] = rouge(targets, lead_sentences(sources))
    elif train and dev:
        baseline = tfidf_classifier(load_pairs(train), load_pairs(dev))
        rows["TF-IDF, logistic regression"] = accuracy(targets, baseline(sources))
    table = Table("", *next(iter(rows.values())), title=f"{len(pairs):,} texts of {test}")
    for name, figures in rows.items():
        table.add_row(name, *(f"{figure:.2f}" for figure in figures.values()))
    console.print(table)


if __name__ == "__main__":
    app()
