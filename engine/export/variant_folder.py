"""Writes one variant as a folder of Triton's model repository.

<repository>/<model>_<precision>/config.pbtxt
                                /1/manifest.json, tokenizer files, the graphs (model.onnx of an
                                   encoder, encoder.onnx and decoder_step.onnx of an
                                   encoder-decoder), and model.json and weights.safetensors, which
                                   native code reads
"""

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from engine.contract.manifest import MANIFEST_FILE, Manifest
from engine.export.graphs.builder import save_model
from engine.native.weights import NATIVE_FILES
from engine.parallel.layout import Layout
from engine.runtime.batching.scheduler import Limits
from engine.runtime.text.vocabulary import TOKENIZER_FILES

ENCODER_BATCH = 64


@dataclass(frozen=True)
class Serving:
    """How Triton runs a variant: processes, lanes of each (0: share the cores), threads.

    `max_rows` bounds the slots of a lane, `token_budget` the tokens in them; 0 is what suits what
    runs the variant.  There are `instances` on each GPU, or on the processor where there is none,
    but a single one for the `parallel` layout of several devices.
    """

    instances: int = 1
    lanes: int = 0
    threads: int = 1
    max_rows: int = Limits.max_rows
    token_budget: int = Limits.token_budget
    max_waiting: int = Limits.max_waiting
    parallel: Layout = field(default_factory=Layout)

    @property
    def kind(self) -> str:
        """Where Triton makes instances: of several devices only the front knows all."""
        return "KIND_AUTO" if self.parallel.ranks == 1 else "KIND_MODEL"


_GENERATING = """\
max_batch_size: 0
model_transaction_policy {{ decoupled: true }}
input [
  {{ name: "TEXT", data_type: TYPE_STRING, dims: [ -1 ] }},
  {{ name: "OPTIONS", data_type: TYPE_STRING, dims: [ 1 ] }}
]
output [ {{ name: "EVENTS", data_type: TYPE_STRING, dims: [ 1 ] }} ]
parameters {{ key: "max_rows", value: {{ string_value: "{max_rows}" }} }}
parameters {{ key: "token_budget", value: {{ string_value: "{token_budget}" }} }}
parameters {{ key: "max_waiting", value: {{ string_value: "{max_waiting}" }} }}
parameters {{ key: "parallel", value: {{ string_value: "{parallel}" }} }}
"""

_CLASSIFYING = """\
max_batch_size: {batch}
dynamic_batching {{ max_queue_delay_microseconds: 2000 }}
input [
  {{ name: "TEXT", data_type: TYPE_STRING, dims: [ 1 ] }},{question}
  {{ name: "OPTIONS", data_type: TYPE_STRING, dims: [ 1 ] }}
]
output [ {{ name: "RESULT", data_type: TYPE_STRING, dims: [ 1 ] }} ]
"""

_MAX_ROWS = re.compile(r'key: "max_rows",? value: \{ string_value: "(\d+)" \}')

_QUESTION = """
  { name: "QUESTION", data_type: TYPE_STRING, dims: [ 1 ] },"""

_COMMON = """\
name: {name}
backend: "seqway"
instance_group [ {{ kind: {kind}, count: {instances} }} ]
parameters {{ key: "manifest", value: {{ string_value: {manifest} }} }}
parameters {{ key: "lanes", value: {{ string_value: "{lanes}" }} }}
parameters {{ key: "threads", value: {{ string_value: "{threads}" }} }}
"""


def write_graphs(graphs: Mapping[str, onnx.ModelProto], files: Path) -> None:
    """Writes each graph under its name."""
    for name, graph in graphs.items():
        save_model(graph, files / name)


def copy_descriptions(files: Path, place: Path) -> None:
    """Copies what a variant's files hold beside its weights: manifest, tokenizer, recipes."""
    for file in files.iterdir():
        if file.is_file() and ".onnx" not in file.name and file.name not in NATIVE_FILES:
            shutil.copy(file, place)


def write_manifest(manifest: Manifest, serving: Serving, variant: Path) -> None:
    """Writes the manifest and Triton's configuration, which carries it too."""
    (variant / "1" / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    (variant / "config.pbtxt").write_text(_config(manifest, serving), encoding="utf-8")


def place_on_gpu(variant: Path) -> None:
    """Has Triton run a variant of an earlier release on GPUs, where there are any."""
    path = variant / "config.pbtxt"
    config = path.read_text(encoding="utf-8")
    path.write_text(config.replace("kind: KIND_CPU", "kind: KIND_AUTO"), encoding="utf-8")


def read_max_rows(variant: Path) -> int:
    """How many rows Triton lets a generating variant run at once.

    Raises:
        ValueError: its configuration does not say.

    """
    path = variant / "config.pbtxt"
    try:
        found = _MAX_ROWS.search(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} can't be read ({error.strerror})") from error
    if not found:
        raise ValueError(f"{path} does not say max_rows")
    return int(found[1])


def tokenizer_sha256(folder: Path) -> str:
    """SHA-256 over the tokenizer files of a variant, in the order of `TOKENIZER_FILES`."""
    digest = hashlib.sha256()
    for name in TOKENIZER_FILES:
        if (folder / name).exists():
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _config(manifest: Manifest, serving: Serving) -> str:
    values = {"name": _quoted(manifest.name), "manifest": _quoted(manifest.to_json())}
    common = _COMMON.format(**values, **vars(serving), kind=serving.kind)
    if manifest.kind == "encoder":
        question = _QUESTION if manifest.head == "spans" else ""
        return common + _CLASSIFYING.format(batch=ENCODER_BATCH, question=question)
    return common + _GENERATING.format(**vars(serving))


def _quoted(text: str) -> str:
    """A string of protobuf's text format."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
