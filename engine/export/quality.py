"""BLEU and chrF of a variant's greedy translations (sacreBLEU: Post 2018, arXiv:1804.08771)."""

import sacrebleu

Quality = dict[str, float]


def measure(hypotheses: list[str], references: list[str]) -> Quality:
    """Corpus BLEU (13a, mixed case) and chrF2, in points, rounded to hundredths."""
    bleu = sacrebleu.corpus_bleu(hypotheses, [references])
    chrf = sacrebleu.corpus_chrf(hypotheses, [references])
    return {"bleu": round(bleu.score, 2), "chrf": round(chrf.score, 2)}
