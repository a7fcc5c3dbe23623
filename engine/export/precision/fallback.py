"""What falls back to higher precision until a variant passes its gate, or that it is given up."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engine.contract.manifest import Manifest
from engine.export.gates.encoder import check_encoder
from engine.export.gates.transformer import (
    DifferenceError,
    GateError,
    NotFiniteError,
    check_variant,
)
from engine.export.graphs.builder import Array
from engine.export.graphs.constants import temporary_folder
from engine.export.native.encoder import runs_natively, write_native_encoder
from engine.export.native.transformer import HEAD_PRODUCTS, write_native
from engine.export.precision.calibration import Observation, quantizable
from engine.export.precision.emulation import emulated
from engine.export.precision.float_graphs import MODEL, STEP, FloatGraphs, Graphs
from engine.export.precision.given_scales import given_roundings
from engine.export.precision.recipes import Precision, Recipe, around, make_recipe
from engine.export.precision.sensitivity import Rounding
from engine.export.variant_folder import copy_descriptions, write_graphs

logger = logging.getLogger(__name__)

ROUNDS = 8
"""Times that a candidate is changed before its precision is given up."""

SHARE = 8
"""One in so many INT8 products is given up in a round: those that suffer most."""

TEXTS = 16
"""Calibration texts that a graph which makes values that are not finite is looked at with."""


@dataclass(frozen=True)
class Candidate:
    """The recipes of one precision, by graph, and the texts that its gates use.

    `head_inputs [n,width]` were seen, where an INT8 head is to be screened.
    """

    floats: FloatGraphs
    manifest: Manifest
    recipes: Mapping[str, Recipe]
    texts: list[str]
    head_inputs: Array | None = None

    def serving(self) -> Graphs:
        """What ONNX Runtime opens on a processor."""
        graphs = self.floats.graphs
        return {name: recipe.serving(graphs[name]) for name, recipe in self.recipes.items()}

    def on_gpu(self) -> Graphs:
        """What a GPU computes, in a form that runs here."""
        graphs = self.floats.graphs
        return {name: emulated(one.on_gpu(graphs[name])) for name, one in self.recipes.items()}

    def write(self, folder: Path) -> None:
        """Writes what serves on a processor: graphs, and weights where native code runs them."""
        write_graphs(self.serving(), folder)
        checkpoint, graphs = self.floats.checkpoint, self.floats.graphs
        if self.manifest.kind == "seq2seq":
            parts = graphs, self.recipes, checkpoint.suppressed_ids, checkpoint.shortlist
            write_native(folder, checkpoint.config, *parts, self.head_inputs)
        elif runs_natively(checkpoint.encoder.config):
            write_native_encoder(folder, checkpoint.encoder, graphs[MODEL], self.recipes[MODEL])

    def check(self, folder: Path) -> None:
        """Passes the gate or raises GateError; `folder` holds what serves on a processor."""
        self._check(folder)
        # No plan is built for a recurrent decoder.
        if self.manifest.precision != "fp32" and not self.manifest.is_recurrent:
            with arithmetic_of_gpu(folder, self) as emulation:
                self._check(emulation)

    def _check(self, folder: Path) -> None:
        check = check_encoder if self.manifest.kind == "encoder" else check_variant
        check(folder, self.floats.checkpoint, self.texts)


@contextmanager
def arithmetic_of_gpu(folder: Path, candidate: Candidate) -> Iterator[Path]:
    """A variant's folder whose graphs compute what a GPU would: 16-bit arithmetic, emulated."""
    with temporary_folder() as place:
        graphs = candidate.on_gpu()
        copy_descriptions(folder, place)
        write_graphs(graphs, place)
        del graphs
        yield place


def first_candidate(
    floats: FloatGraphs,
    manifest: Manifest,
    seen: Mapping[str, Observation],
    texts: list[str],
    *,
    screens: bool = False,
) -> Candidate:
    """The candidate that calibration suggests; with `screens` an INT8 head is screened.

    Raises:
        NotFiniteError: the checkpoint itself makes values that are not finite.

    """
    precision: Precision = manifest.precision  # type: ignore[assignment]
    recipes = {}
    for name, model in floats.graphs.items():
        if name in seen:
            _require_finite(manifest.name, seen[name])
            rounds = precision == "int8"
            given = given_roundings(model, floats.checkpoint, seen[name]) if rounds else {}
            recipes[name] = make_recipe(model, precision, seen[name], floats.never_int8, given)
        else:
            recipes[name] = Recipe(precision)
    screened = screens and precision == "int8" and STEP in seen
    inputs = _head_inputs(floats, seen[STEP]) if screened else None
    return Candidate(floats, manifest, recipes, texts, inputs)


def _head_inputs(floats: FloatGraphs, seen: Observation) -> Array:
    """What the head of an encoder-decoder reads, `[n,width]`."""
    products = quantizable(floats.graphs[STEP])
    name = next(products[name] for name in HEAD_PRODUCTS if name in products)
    return seen.inputs[name].rows


def settle(candidate: Candidate, folder: Path) -> Candidate:
    """Writes the graphs of a candidate that passes its gate, made from this one, and returns it.

    `folder` holds manifest and tokenizer already.

    Raises:
        GateError: none passes; the message names what fails.

    """
    for _ in range(ROUNDS):
        _require_gain(candidate)
        candidate.write(folder)
        try:
            candidate.check(folder)
        except NotFiniteError as error:
            candidate = _finite(candidate, error)
        except DifferenceError as error:
            candidate = _closer(candidate, error)
        else:
            _tell(candidate)
            return candidate
    raise GateError(
        f"{candidate.manifest.name}: still not as the checkpoint with {_kept(candidate)} kept in "
        f"higher precision: leave {candidate.manifest.precision} out."
    )


def _finite(candidate: Candidate, error: NotFiniteError) -> Candidate:
    """Keeps in FP32 what first makes a value that is not finite."""
    emulate = candidate.manifest.precision in ("fp16", "int8")
    graphs = candidate.on_gpu() if emulate else None
    seen = candidate.floats.observe(graphs, TEXTS)
    for name, observation in seen.items():
        value = re.sub(r"(\.as_\w+)?(\.exact)?$", "", observation.first_not_finite())
        if not value:
            continue
        reason = f"{value} is not finite in 16 bits"
        nodes = around(candidate.floats.graphs[name], {value: reason})
        recipe = candidate.recipes[name]
        if not emulate or not nodes.keys() - recipe.float32.keys():
            raise NotFiniteError(f"{candidate.manifest.name}: {value} ({name}) is not finite.")
        changed = {**candidate.recipes, name: recipe.with_float32(nodes)}
        return replace(candidate, recipes=changed)
    raise error


def _closer(candidate: Candidate, error: DifferenceError) -> Candidate:
    """Takes the INT8 products that suffer most back to float; other precisions have no choice."""
    every = [(one.error, graph, name) for graph, name, one in _roundings(candidate)]
    if not every:
        raise error
    total = len(every) + sum(len(one.not_int8) for one in candidate.recipes.values())
    worst = sorted(every, reverse=True)[: max(1, total // SHARE)]
    changed = dict(candidate.recipes)
    for loss, graph, name in worst:
        reason = f"the variant differed too much, and INT8 changes its result by {loss:.1%}"
        changed[graph] = changed[graph].without({name: reason})
    names = ", ".join(f"{name} ({loss:.1%})" for loss, _, name in worst)
    logger.warning("%s Kept in higher precision: %s", error, names)
    return replace(candidate, recipes=changed)


def _require_gain(candidate: Candidate) -> None:
    """Refuses INT8 that is none any more."""
    if candidate.manifest.precision != "int8":
        return
    kept = sum(len(recipe.not_int8) for recipe in candidate.recipes.values())
    rounded = len(list(_roundings(candidate)))
    if kept > rounded:
        reasons = [
            f"{name}: {reason}"
            for recipe in candidate.recipes.values()
            for name, reason in recipe.not_int8.items()
        ]
        raise GateError(
            f"{candidate.manifest.name}: {kept} of {kept + rounded} products can't be INT8, so "
            f"nothing would be gained: leave int8 out. The first is {reasons[0]}."
        )


def _roundings(candidate: Candidate) -> Iterator[tuple[str, str, Rounding]]:
    for graph, recipe in candidate.recipes.items():
        for name, rounding in recipe.roundings.items():
            yield graph, name, rounding


def _require_finite(name: str, seen: Observation) -> None:
    value = seen.first_not_finite()
    if value:
        raise NotFiniteError(f"{name}: {value} of the checkpoint is not finite.")


def _kept(candidate: Candidate) -> str:
    names = [name for one in candidate.recipes.values() for name in (*one.not_int8, *one.float32)]
    return ", ".join(names) or "nothing"


def _tell(candidate: Candidate) -> None:
    for graph, recipe in candidate.recipes.items():
        for name, reason in {**recipe.not_int8, **recipe.float32}.items():
            logger.info("%s: %s of %s stays high: %s", candidate.manifest.name, name, graph, reason)
