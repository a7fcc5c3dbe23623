"""The real Triton beside an import that runs, or was killed: it serves what is whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.test_triton import echo_stack

IMPORT = """
import sys
from pathlib import Path
from engine.export import workplace
from engine.export.repository import staging

if sys.argv[1] == "no":
    workplace._beside = lambda _: None
with staging(Path(sys.argv[2]), ["half_fp32"], overwrite=False) as place:
    (place.variant("half_fp32") / "1").mkdir()
    if sys.argv[1] == "no":  # as far as an import ever shows
        place._copy_in(["half_fp32"])
        Path(f"{place._place.hidden}.0").write_text("a graph")
    print("waiting", flush=True)
    sys.stdin.read()
"""


@pytest.mark.usefixtures("triton_installed")
@pytest.mark.parametrize("beside", ["yes", "no"])
def test_triton_starts_beside_an_import_and_after_a_killed_one(
    tmp_path: Path, echo_repository: Path, beside: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", IMPORT, beside, str(echo_repository)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stdout.readline() == "waiting\n"
        names = {path.name.partition(".ledger")[1] for path in echo_repository.iterdir()}
        assert (".ledger" in names) == (beside == "no")
        process.kill()
        process.wait()  # what it had stands there as while it ran
        stack = echo_stack(tmp_path, echo_repository)
        try:
            stack.up()
            (status,) = stack.status()
            assert [check.subject for check in status.checks] == ["server", "model echo_fp32"]
            assert status.ready
        finally:
            stack.down()
