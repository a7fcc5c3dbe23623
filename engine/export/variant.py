"""Writes one variant as a folder of Triton's model repository.

<repository>/<model>_<precision>/config.pbtxt
                                /1/encoder.onnx, decoder_step.onnx, manifest.json, tokenizer files
"""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx

from engine.runtime.manifest import MANIFEST_FILE, Manifest
from engine.runtime.vocabulary import TOKENIZER_FILES


@dataclass(frozen=True)
class Serving:
    """How Triton runs a variant: processes, lanes of each (0: share the cores), threads."""

    instances: int = 1
    lanes: int = 0
    threads: int = 1
    max_rows: int = 64
    max_waiting: int = 4096


CONFIG = """\
name: {name}
backend: "seqway"
max_batch_size: 0
model_transaction_policy {{ decoupled: true }}
instance_group [ {{ kind: KIND_CPU, count: {instances} }} ]
input [
  {{ name: "TEXT", data_type: TYPE_STRING, dims: [ -1 ] }},
  {{ name: "OPTIONS", data_type: TYPE_STRING, dims: [ 1 ] }}
]
output [ {{ name: "EVENTS", data_type: TYPE_STRING, dims: [ 1 ] }} ]
parameters {{ key: "manifest", value: {{ string_value: {manifest} }} }}
parameters {{ key: "lanes", value: {{ string_value: "{lanes}" }} }}
parameters {{ key: "threads", value: {{ string_value: "{threads}" }} }}
parameters {{ key: "max_rows", value: {{ string_value: "{max_rows}" }} }}
parameters {{ key: "max_waiting", value: {{ string_value: "{max_waiting}" }} }}
"""


class VariantWriter:
    """Collects a variant in a folder beside its place and moves it there when it is whole."""

    def __init__(self, repository: Path, name: str) -> None:
        repository.mkdir(parents=True, exist_ok=True)
        self.target = repository / name
        self._staging = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=repository))
        self.files = self._staging / "1"
        self.files.mkdir()

    def graphs(self, encoder: onnx.ModelProto, step: onnx.ModelProto) -> None:
        """Writes both graphs."""
        onnx.save(encoder, self.files / "encoder.onnx")
        onnx.save(step, self.files / "decoder_step.onnx")

    def tokenizer(self, checkpoint: Path) -> None:
        """Copies the checkpoint's tokenizer."""
        for name in TOKENIZER_FILES:
            if (checkpoint / name).exists():
                shutil.copyfile(checkpoint / name, self.files / name)

    def manifest(self, manifest: Manifest, serving: Serving) -> None:
        """Writes the manifest and Triton's configuration, which carries it too."""
        text = manifest.to_json()
        (self.files / MANIFEST_FILE).write_text(text, encoding="utf-8")
        config = CONFIG.format(name=_quoted(manifest.name), manifest=_quoted(text), **vars(serving))
        (self._staging / "config.pbtxt").write_text(config, encoding="utf-8")

    def commit(self) -> Path:
        """Puts the variant in its place, instead of what stood there."""
        self._staging.chmod(0o755)
        old = self._staging.with_name(f"{self._staging.name}.old")
        if self.target.exists():
            self.target.replace(old)
        self._staging.replace(self.target)
        shutil.rmtree(old, ignore_errors=True)
        return self.target

    def discard(self) -> None:
        """Removes what was written, if it was not committed."""
        shutil.rmtree(self._staging, ignore_errors=True)


def tokenizer_sha256(folder: Path) -> str:
    """SHA-256 over the tokenizer files of a checkpoint, in the order of `TOKENIZER_FILES`."""
    digest = hashlib.sha256()
    for name in TOKENIZER_FILES:
        if (folder / name).exists():
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _quoted(text: str) -> str:
    """A string of protobuf's text format."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
