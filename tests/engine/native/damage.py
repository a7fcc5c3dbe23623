"""Damages the files of the native code."""

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.native.library import NativeError
from engine.native.weights import MODEL_FILE, WEIGHTS_FILE, WeightsError

Header = dict[str, Any]


def change_header(folder: Path, change: Callable[[Header], Any]) -> None:
    """Writes what `change` makes of the header, or what it leaves in it."""
    path = folder / WEIGHTS_FILE
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    changed = change(header)
    text = json.dumps(header if changed is None else changed).encode()
    text += b" " * (-(len(text) + 8) % 64)
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def change_model(folder: Path, **entries: Any) -> None:
    path = folder / MODEL_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def check_damage(folder: Path, open_model: Callable[[Path], object]) -> None:
    """Damage of either file, anywhere in what describes the model, has no error but these two."""
    chance = random.Random(7)
    for name in (MODEL_FILE, WEIGHTS_FILE):
        path = folder / name
        whole = path.read_bytes()
        end = len(whole) if name == MODEL_FILE else 8 + struct.unpack_from("<Q", whole)[0]
        for _ in range(300):
            damaged = bytearray(whole)
            for _ in range(chance.choice([1, 1, 2, 8])):
                damaged[chance.randrange(end)] = chance.choice([chance.randrange(256), *b'0129"-,'])
            path.write_bytes(damaged)
            try:
                open_model(folder)
            except (WeightsError, NativeError) as error:
                assert str(error)
        path.write_bytes(whole)
