"""`python -m engine.native.build` compiles `src` to `libseqway.so`; it needs a C++17 compiler.

That is $CXX, else the first of g++, clang++, c++ and the package ziglang that works.  Where none
does, models run on ONNX Runtime instead: a notice says so, and with CI=true it is an error.  This
module imports nothing but Python's own, so that an image can compile before it has anything else.
"""

import argparse
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent
SOURCES = _HERE / "src"
LIBRARY = _HERE / "libseqway.so"

_JOBS = 2
_GLIBC = "2.28"
_ERROR_LINES = 5
_FLAGS = (
    *("-std=c++17", "-O3", "-fPIC", "-fno-math-errno", "-pthread"),
    # Multiply-adds are fused where the source says so and nowhere else: answers have to be the same
    # on every instruction set.
    "-ffp-contract=off",
    *("-Wall", "-Wextra"),
    # g++ warns of its own headers of AVX-512; clang does not know the first of these.
    *("-Wno-unknown-warning-option", "-Wno-maybe-uninitialized", "-Wno-uninitialized"),
)
# Of the C++ runtime nothing may be seen from outside: ziglang links its own into the library.
_LINKED_AS_LIBRARY = (
    *("-shared", "-pthread", "-Wl,-S"),
    f"-Wl,--version-script={SOURCES / 'exports.map'}",
)


class CompilerError(Exception):
    """A compiler failed; the message is what it said."""


@dataclass(frozen=True)
class Compilation:
    """What is compiled: the library, or with `program` a program of that file and the sources.

    `target` is one that ziglang knows; None is this machine.
    """

    output: Path = LIBRARY
    target: str | None = None
    program: Path | None = None
    strict: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """Those of each file."""
        return (*_FLAGS, "-Werror") if self.strict else _FLAGS

    @property
    def link_flags(self) -> tuple[str, ...]:
        """Those of the last step; a program with musl runs on machines without it."""
        if self.program is None:
            return _LINKED_AS_LIBRARY
        return ("-static",) if "musl" in (self.target or "") else ()

    @property
    def files(self) -> list[Path]:
        """What is compiled."""
        return [*sorted(SOURCES.glob("*.cpp")), *([self.program] if self.program else [])]

    @property
    def note(self) -> Path:
        """Where it is written how the output was compiled."""
        return self.output.with_name(f"{self.output.name}.flags")

    def noted(self) -> str:
        """What makes another output of the same sources."""
        return shlex.join([os.environ.get("CXX", ""), self.target or "", *self.flags])

    def is_older_than_its_sources(self) -> bool:
        """Whether there is an output, and of earlier sources."""
        with suppress(FileNotFoundError):
            inputs = [*SOURCES.iterdir(), *self.files, Path(__file__)]
            return self.output.stat().st_mtime < max(file.stat().st_mtime for file in inputs)
        return False

    def is_done(self) -> bool:
        """Whether the output is that of these sources and flags."""
        with suppress(FileNotFoundError):
            same = self.note.read_text(encoding="utf-8") == self.noted()
            return same and self.output.exists() and not self.is_older_than_its_sources()
        return False


def compilers(target: str | None = None) -> Iterator[tuple[str, ...]]:
    """The commands of the compilers that are there, the first choice first."""
    if target is None and (named := os.environ.get("CXX")):
        yield tuple(shlex.split(named))
        return
    if target is None:
        yield from ((name,) for name in ("g++", "clang++", "c++") if shutil.which(name))
    if importlib.util.find_spec("ziglang"):
        target = target or f"{platform.machine()}-linux-gnu.{_GLIBC}"
        yield (sys.executable, "-m", "ziglang", "c++", "-target", target)


def build(compilation: Compilation, compiler: Sequence[str]) -> None:
    """Compiles and moves the output into place: who runs the old one keeps it.

    Raises:
        CompilerError: the compiler is missing, or failed.

    """
    output = compilation.output.absolute()
    new = output.with_name(f".{output.name}.{os.getpid()}")
    started = time.time()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_JOBS) as pool:
            objects = [Path(folder) / f"{file.stem}.o" for file in compilation.files]
            commands = (
                [*compiler, *compilation.flags, "-c", str(file), "-o", str(object_)]
                for file, object_ in zip(compilation.files, objects, strict=True)
            )
            list(pool.map(_run, commands))
            _run([*compiler, *compilation.link_flags, *map(str, objects), "-o", str(new)])
        # Sources that were edited meanwhile are newer.
        os.utime(new, (started, started))
        compilation.note.unlink(missing_ok=True)
        new.replace(output)
        compilation.note.write_text(compilation.noted(), encoding="utf-8")
    except OSError as error:
        raise CompilerError(str(error)) from error
    finally:
        new.unlink(missing_ok=True)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines
        ended = f"exit code {done.returncode}"
        raise CompilerError("\n".join(errors[:_ERROR_LINES]) or ended)


def main(arguments: Sequence[str] | None = None) -> int:
    """0, and 1 where a program, or with CI=true the library, could not be compiled."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.native.build", description="Compiles the native library."
    )
    parser.add_argument("--output", type=Path, default=LIBRARY)
    parser.add_argument("--target", help="compile for that target of ziglang's, by ziglang")
    parser.add_argument(
        "--program", type=Path, metavar="FILE", help="link a program of this file and the sources"
    )
    parser.add_argument("--strict", action="store_true", help="warnings are errors")
    compilation = Compilation(**vars(parser.parse_args(arguments)))
    if compilation.is_done():
        _say(f"{compilation.output.name} is up to date")
        return 0
    failures = []
    for compiler in compilers(compilation.target):
        # Past the path of a Python: "ziglang c++ ...".
        name = shlex.join(compiler[2:] if compiler[0] == sys.executable else compiler)
        started = time.monotonic()
        try:
            build(compilation, compiler)
        except CompilerError as error:
            failures.append(f"{name} failed:\n{error}")
        else:
            _say(
                f"compiled {compilation.output.name} by {name}, {time.monotonic() - started:.0f} s"
            )
            return 0
    if compilation.is_older_than_its_sources():
        compilation.output.unlink()
    if not failures and compilation.target:
        failures = ["The package ziglang, which compiles for other machines, is not installed."]
    failures = failures or ["There is no C++ compiler (Debian: apt install g++)."]
    _say("\n".join([f"{compilation.output.name} was not compiled.", *failures]))
    if compilation.program:
        return 1
    _say("Models run on ONNX Runtime instead; `make native` tries again.")
    return int(os.environ.get("CI") == "true")


def _say(text: str) -> None:
    print("\n".join(f"native: {line}" for line in text.splitlines()), file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
