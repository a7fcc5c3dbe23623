"""The figures that a variant's answers to a test set are measured by, for each task.

BLEU and chrF by sacreBLEU (Post 2018, arXiv:1804.08771), ROUGE by rouge-score (Lin 2004).
"""

from collections.abc import Sequence

import sacrebleu

from engine.contract.manifest import Task
from engine.training.evaluation import accuracy, rouge

Quality = dict[str, float]

FIGURES: dict[Task, dict[str, str]] = {
    "translation": {"bleu": "BLEU", "chrf": "chrF"},
    "summarization": {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"},
    "classification": {"accuracy": "accuracy", "macro_f1": "macro-F1"},
}
"""The keys of `measure`'s answer and what to call them; other tasks can't be measured by pairs."""

PRIMARY: dict[Task, str] = {
    "translation": "bleu",
    "summarization": "rougeL",
    "classification": "accuracy",
}
"""The figure that says what a variant loses against another."""


def measure(task: Task, answers: Sequence[str], references: Sequence[str]) -> Quality:
    """The figures of `task`, in points or percent, rounded to hundredths.

    Corpus BLEU (13a, mixed case) and chrF2; mean F of ROUGE with stemming; accuracy and macro-F1.
    """
    if task == "classification":
        return accuracy(references, answers)
    if task == "summarization":
        return rouge(references, answers)
    bleu = sacrebleu.corpus_bleu(list(answers), [list(references)])
    chrf = sacrebleu.corpus_chrf(list(answers), [list(references)])
    return {"bleu": round(bleu.score, 2), "chrf": round(chrf.score, 2)}
