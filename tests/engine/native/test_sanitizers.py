"""The native code under the address and undefined-behaviour sanitizers, with the same results.

Fresh memory holds bytes that are no numbers, so that what was never written shows in the results.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine.export.precision.recipes import Precision
from engine.model.encoders.config import HeadKind
from engine.native import library
from tests.engine.native.conftest import require
from tests.engine.native.encoders import write_encoder
from tests.engine.native.exercise import exercise
from tests.engine.native.models import (
    KINDS,
    LONG_KINDS,
    SCREENED,
    random_shortlist,
    write_variant,
)

ROOT = Path(__file__).parents[3]
SOURCES = library.LIBRARY.parent / "src"

FLAGS = (
    *("-std=c++17", "-O0", "-g1", "-fPIC", "-w", "-ffp-contract=off", "-fno-omit-frame-pointer"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:max_malloc_fill_size=1000000000:malloc_fill_byte=255",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "PYTHONMALLOC": "malloc",
}

MODELS: list[tuple[str, Precision]] = [
    *(("bart", "fp32"), ("flan_t5", "int8"), ("m2m100", "int8"), ("wide_heads", "fp32")),
    *(("wide_heads", "fp16"), ("m2m100", "bf16")),
]
ENCODERS: list[tuple[str, HeadKind, Precision]] = [
    ("odd", "classification", "int8"),
    ("odd", "spans", "fp32"),
    ("albert", "spans", "int8"),
    ("bert", "classification", "fp32"),
    ("odd", "classification", "fp16"),
    ("albert", "spans", "bf16"),
]


@pytest.fixture(scope="module")
def runtime(gxx: str) -> str:
    """The address sanitizer's library, which has to be loaded before all others."""
    command = [gxx, "-print-file-name=libasan.so"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    require(Path(found).is_absolute(), "g++ has no address sanitizer")
    return found


@pytest.fixture(scope="module")
def sanitized(
    gxx: str, runtime: str, backends: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The library with both sanitizers in it."""
    folder = tmp_path_factory.mktemp("sanitized")

    def compile_one(source: Path) -> str:
        made = str(folder / f"{source.stem}.o")
        subprocess.run([gxx, *FLAGS, "-c", str(source), "-o", made], check=True)
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sorted(SOURCES.glob("*.cpp"))))
    made = folder / "libseqway.so"
    subprocess.run([gxx, *FLAGS, "-shared", *objects, "-o", str(made)], check=True)
    return made


def run(sanitized: Path, runtime: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    environment = {**os.environ, **OPTIONS, "LD_PRELOAD": runtime}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )


def test_no_memory_is_read_or_written_that_should_not_be(
    sanitized: Path, runtime: str, tmp_path: Path
) -> None:
    folders = [
        write_variant(tmp_path / f"{name}_{precision}", KINDS[name], precision).folder
        for name, precision in MODELS
    ]
    kind, short = KINDS["bart"], tmp_path / "bart_short"
    folders.append(write_variant(short, kind, "int8", shortlist=random_shortlist(kind, 1)).folder)
    long = tmp_path / "long_global"
    folders.append(write_variant(long, LONG_KINDS["long_global"], "int8").folder)
    wide, screened = SCREENED["few"], tmp_path / "wide_screened"
    folders.append(write_variant(screened, wide, "int8", screened=True).folder)
    folders += [
        write_encoder(tmp_path / "_".join(encoder), *encoder).folder for encoder in ENCODERS
    ]
    results = tmp_path / "results.npz"
    arguments = (str(sanitized), *map(str, folders), str(results))
    done = run(sanitized, runtime, "-m", "tests.engine.native.exercise", *arguments)
    assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr[-5000:]
    expected = exercise(folders)
    with np.load(results) as made:
        assert set(made) == set(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(made[name], array, name, strict=True)


def test_the_sanitizer_sees_what_it_should(sanitized: Path, runtime: str) -> None:
    """A product that is told of a wider input than it is given reads behind it."""
    code = f"""
import numpy as np
from pathlib import Path
from engine.native import library
from tests.engine.native.products import float_product
library.LIBRARY = Path({str(sanitized)!r})
tensors = float_product(np.ones((400, 16), np.float32))
library.multiply(tensors, np.ones((1, 399), np.float32), 400)
"""
    done = run(sanitized, runtime, "-c", code)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
