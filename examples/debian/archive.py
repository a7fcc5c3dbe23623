"""Reads the Debian Description Translation Project: package descriptions with their translations.

`fetch_indices` lets APT download the archive's indices into a folder of ours (no root needed,
no package is installed); `read_descriptions` joins them.  Format: Debian policy 5.6.13 and
https://wiki.debian.org/DebianRepository/Format (Translation indices, joined on `Description-md5`).
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Deb822


class CorpusError(Exception):
    """The corpus could not be built."""


@dataclass(frozen=True)
class Description:
    """One package description in one language.

    `synopsis` is its single line, `paragraphs` the long part: running text joined to one line,
    and each item of a list on its own.
    """

    package: str
    source: str
    section: str
    md5: str
    synopsis: str
    paragraphs: tuple[str, ...]


def fetch_indices(folder: Path, languages: list[str]) -> None:
    """Downloads `Packages` and `Translation-*` of the machine's own Debian archive into `folder`.

    Raises:
        CorpusError: APT is not on this machine, or could not reach its archive.

    """
    apt = shutil.which("apt-get")
    if apt is None:
        raise CorpusError("apt-get is not on this machine: build the corpus on Debian or Ubuntu.")
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    options = {
        "Acquire::Languages": ",".join(languages),
        "Acquire::GzipIndexes": "false",
        "Dir::State::Lists": str(folder.resolve()),
        "Dir::Cache": str((folder / "cache").resolve()),
        "APT::Sandbox::User": "root",
    }
    command = [apt, "update", "--quiet"]
    for key, value in options.items():
        command += ["-o", f"{key}={value}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CorpusError(f"apt-get could not fetch the indices: {done.stderr.strip()}")


def read_descriptions(folder: Path, language: str) -> Iterator[Description]:
    """Yields every description that `folder` holds in `language` ("en", "fr", ...).

    Raises:
        CorpusError: the indices of that language are not in `folder`.

    """
    # APT writes "_" so in the names of its lists.
    translations = sorted(folder.glob(f"*_Translation-{language.replace('_', '%5f')}"))
    if not translations:
        raise CorpusError(
            f"No Translation-{language} index in {folder}: does your archive have it?"
        )
    origins = _read_origins(folder)
    for path in translations:
        with path.open(encoding="utf-8") as lines:
            for entry in Deb822.iter_paragraphs(lines, use_apt_pkg=False):
                md5 = entry["Description-md5"]
                if md5 not in origins:
                    continue
                source, section = origins[md5]
                synopsis, _, body = entry[f"Description-{language}"].partition("\n")
                yield Description(
                    package=entry["Package"],
                    source=source,
                    section=section,
                    md5=md5,
                    synopsis=synopsis.strip(),
                    paragraphs=tuple(split_paragraphs(body)),
                )


def _read_origins(folder: Path) -> dict[str, tuple[str, str]]:
    """Maps a description's md5 to its source package and section."""
    wanted = ["Package", "Source", "Section", "Description-md5"]
    origins = {}
    for path in sorted(folder.glob("*_Packages")):
        with path.open(encoding="utf-8") as lines:
            for entry in Deb822.iter_paragraphs(lines, fields=wanted, use_apt_pkg=False):
                source = entry.get("Source", entry["Package"]).split(" ")[0]
                section = entry.get("Section", "unknown").rpartition("/")[2]
                origins[entry.get("Description-md5", "")] = (source, section)
    return origins


_BULLET = re.compile(r"^\s*(?:[-*+o•·–]|\d+[.)])\s+")


def split_paragraphs(body: str) -> list[str]:
    """Splits the long part of a description: ` .` ends a paragraph, a bullet starts an item.

    A line that starts with two or more spaces is to be shown as it stands (policy 5.6.13); the
    archive uses that for lists, so such lines join the item above unless a bullet opens a new one.
    """
    paragraphs: list[list[str]] = [[]]
    for line in body.split("\n"):
        text = line.strip()
        if text in ("", "."):
            paragraphs.append([])
        elif match := _BULLET.match(line[1:]):
            paragraphs.append([line[1:][match.end() :].strip()])
        else:
            paragraphs[-1].append(text)
    return [" ".join(lines) for lines in paragraphs if lines]
