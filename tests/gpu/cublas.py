"""A link by which CTranslate2, built for CUDA 12, finds cuBLAS of CUDA 13.

It opens `libcublas.so.12` for eight functions, whose signatures are those of version 13.
"""

import importlib.util
import os
from pathlib import Path

_WANTED, _THERE = "libcublas.so.12", "libcublas.so.13"
_TOOLKITS = (Path("/usr/local/cuda/lib64"), Path("/usr/local/cuda/targets/x86_64-linux/lib"))


def library_path(folder: Path) -> str:
    """The value of LD_LIBRARY_PATH with the link, in `folder`, and cuBLAS itself in front."""
    before = [one for one in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if one]
    found = _cublas()
    if found is None:
        return os.pathsep.join(before)
    folder.mkdir(exist_ok=True)
    link = folder / _WANTED
    if not link.is_symlink():
        link.symlink_to(found)
    # What cuBLAS itself opens lies beside it.
    return os.pathsep.join([str(folder), str(found.parent), *before])


def _cublas() -> Path | None:
    """That of PyTorch's packages, else the toolkit's."""
    torch = importlib.util.find_spec("torch")
    folders = list(_TOOLKITS)
    if torch is not None and torch.origin is not None:
        packages = Path(torch.origin).parents[1]
        folders = [one.parent for one in packages.glob(f"nvidia/*/lib/{_THERE}")] + folders
    return next((one / _THERE for one in folders if (one / _THERE).exists()), None)
