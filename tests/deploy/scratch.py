"""Runs the steps of a Dockerfile in a folder, where no Docker is.

Each COPY and RUN of all stages is done in order, with the image's own folders (`/opt/seqway`,
`/src`) put below the folder.  Its base image is this machine with a Python environment of its own,
so what a step takes from Debian is not shown.
"""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped]

from engine.native.build import compilers
from tests.deploy.rendering import ROOT

_OWN = ("/opt/seqway", "/src", "/models", "/run/tls")


@dataclass
class Image:
    """What a Dockerfile describes: the last ENTRYPOINT and so on count."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)
    user: str = ""
    _directory: Path = Path()

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of its processes."""
        return {**self.variables, "HOME": str(self._place("/tmp"))}

    def run(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command of the image to its end."""
        return subprocess.run(
            arguments,
            env={**self.environment, **variables},
            cwd=self._place("/tmp"),
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[bytes]":
        """Starts the ENTRYPOINT with arguments; its output goes to the file `log`.

        Paths in arguments are the container's.
        """
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                [*self.words["ENTRYPOINT"], *map(self._placed, arguments)],
                env={**self.environment, **variables},
                cwd=self._place("/tmp"),
                stdout=log,
                stderr=log,
            )

    def step(self, instruction: str, value: str) -> None:
        """Does one instruction."""
        match instruction:
            case "WORKDIR":
                self._directory = self._place(value)
                self._directory.mkdir(parents=True, exist_ok=True)
            case "ENV":
                pairs = (one.partition("=") for one in shlex.split(value))
                self.variables |= {name: self._placed(text) for name, _, text in pairs}
            case "COPY" if not value.startswith("--from"):
                self._copy(*shlex.split(value))
            case "RUN":
                self._run(value)
            case "ENTRYPOINT" | "CMD":
                self.words[instruction] = json.loads(value)
            case "HEALTHCHECK" if value != "NONE":
                self.words[instruction] = json.loads(value.partition("CMD ")[2])
            case "USER":
                self.user = value

    def _copy(self, *words: str) -> None:
        *sources, target = words
        into = self._place(target) if target.startswith("/") else self._directory / target
        for source in (ROOT / one for one in sources):
            if source.is_dir():
                shutil.copytree(source, into, ignore=_ignored(), dirs_exist_ok=True)
            else:
                place = into / source.name if target.endswith("/") else into
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, place)

    def _run(self, command: str) -> None:
        # What says where packages come from stays; what would lead to others goes.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        # The image of the stage that compiles has a compiler.
        kept["CXX"] = shlex.join(next(compilers(), ()))
        path = f"{self.folder}/usr/bin:{os.environ.get('PATH', os.defpath)}"
        done = subprocess.run(
            ["sh", "-c", self._placed(command)],
            env={**kept, "PATH": path},
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"RUN {command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"

    def _place(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def _placed(self, text: str) -> str:
        for own in _OWN:
            text = text.replace(own, str(self._place(own)))
        return text


def _ignored() -> Callable[[Any, list[str]], set[str]]:
    """What stays out of the context at any depth."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return shutil.ignore_patterns(*(one[3:] for one in lines if one.startswith("**/")))


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile of ours, with their values."""
    content = (ROOT / "deploy" / "images" / f"{name}.Dockerfile").read_bytes()
    parsed = DockerfileParser(fileobj=io.BytesIO(content)).structure
    return [(one["instruction"], one["value"]) for one in parsed if one["instruction"] != "COMMENT"]


def cache_folder(name: str) -> str:
    """Where the processes of an image keep what PyTorch compiles; "" where nothing does."""
    variables = " ".join(value for instruction, value in instructions(name) if instruction == "ENV")
    found = re.findall(r"\w+_CACHE_DIR=(\S+)/\w+", variables)
    assert len(set(found)) <= 1
    return found[0] if found else ""


def base(folder: Path) -> Path:
    """What stands for the base image: a Python environment of its own in an empty folder."""
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    subprocess.run([python, "-m", "venv", folder], check=True)
    return folder


def build(name: str, folder: Path, base: Path) -> Image:
    """Builds an image of ours in an empty folder."""
    (folder / "usr").symlink_to(base)
    (folder / "tmp").mkdir()
    image = Image(folder)
    for instruction, value in instructions(name):
        image.step(instruction, value)
    return image
