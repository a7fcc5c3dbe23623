"""What is carried to a machine with a GPU beside the repository: `python -m tests.gpu.bundle`.

One file, `build/gpu/carried.tar.xz`: the example variant, and the packages that are missing there.
It needs ONNX, pip, and strip, which takes symbols out of CTranslate2: that is most of its wheel.
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

CARRIED = Path("build/gpu/carried.tar.xz")
VARIANT, PACKAGES = "variant", "packages"
WHEELS = ("msgspec", "ctranslate2")
_PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 17)]
"""pip looks for each by name."""


def download(names: Sequence[str], folder: Path) -> None:
    """Unpacks wheels for Python 3.12 on x86-64, whatever runs this, without what they need."""
    with tempfile.TemporaryDirectory() as wheels:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--python-version=3.12", f"--dest={wheels}"]
        command += [f"--platform={one}" for one in _PLATFORMS]
        subprocess.run([*command, *names], check=True)
        for wheel in Path(wheels).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)


def strip(folder: Path) -> None:
    """Takes symbols that nothing links to out of libraries."""
    for library in folder.rglob("*.so*"):
        subprocess.run(["strip", "--strip-unneeded", library], check=True)


def pack(folder: Path, file: Path) -> None:
    """Writes what lies in a folder to one file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:xz") as archive:
        for entry in sorted(folder.iterdir()):
            archive.add(entry, entry.name)


def unpack(file: Path, folder: Path) -> None:
    """Writes what was packed to a folder."""
    with tarfile.open(file, "r:xz") as archive:
        archive.extractall(folder)


def main() -> None:
    """Writes the file, and says how large it is."""
    from tests.gpu.variant import prepare  # its packages are among those that are carried

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=CARRIED)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder / VARIANT)
        download(WHEELS, folder / PACKAGES)
        strip(folder / PACKAGES)
        pack(folder, asked.file)
    print(f"{asked.file}: {asked.file.stat().st_size / 2**20:.1f} MiB")  # noqa: T201


if __name__ == "__main__":
    main()
