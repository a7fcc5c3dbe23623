"""The documented signatures of TensorRT's real bindings, as JSON on standard output.

    python -m tests.engine.tensorrt.signatures tensorrt_rtx_bindings
    python -m tests.engine.tensorrt.signatures tensorrt_bindings FOLDER

NVIDIA's `tensorrt` needs libraries that PyPI does not have.  Its bindings do nothing with them when
they are imported, so here empty ones, compiled in FOLDER, take their places.  A process of its own,
since one can't import both flavours.
"""

import ctypes
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LIBRARIES = ("libnvinfer.so.11", "libnvinfer_plugin.so.11", "libnvonnxparser.so.11")
SYMBOLS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)


def load_empty_libraries(folder: Path) -> None:
    """Has the process find libraries of the names that the bindings are linked with."""
    source = folder / "empty.c"
    source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in SYMBOLS))
    for name in LIBRARIES:
        library = folder / name
        command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", library, source]
        subprocess.run(command, check=True)
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)


def described(module: Any) -> dict[str, Any]:
    """Of each class its methods' documentation; of each enumeration its members."""
    found: dict[str, Any] = {}
    for name in dir(module):
        kind = getattr(module, name)
        if not isinstance(kind, type):
            continue
        members = getattr(kind, "__members__", None)
        if members is not None:
            found[name] = list(members)
            continue
        names = [one for one in dir(kind) if not one.startswith("_")] + ["__init__"]
        found[name] = {one: getattr(kind, one).__doc__ or "" for one in names}
    return found


if __name__ == "__main__":
    if len(sys.argv) > 2:
        load_empty_libraries(Path(sys.argv[2]))
    json.dump(described(importlib.import_module(sys.argv[1])), sys.stdout)
