"""The loss curve of a training run."""

import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def plot_loss(metrics: Path, image: Path) -> None:
    """Draws training and dev loss over the steps that `metrics` (JSON lines) records."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    steps = [row["step"] for row in rows]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for key, label in (
        ("train_loss", "train (label-smoothed)"),
        ("dev_loss", "dev, averaged weights"),
        ("dev_loss_shuffled_sources", "dev, shuffled sources"),
    ):
        axes.plot(steps, [row[key] for row in rows], label=label)
    axes.set(xlabel="step", ylabel="loss (nats per token, or per text of a classifier)")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(image, dpi=120)
    plt.close(figure)
