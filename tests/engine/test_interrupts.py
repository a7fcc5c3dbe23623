"""Ctrl-C at once: a command ends by a word, whatever it is just loading."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60

COMMANDS = {
    "seqway-models": "import engine.main; engine.main.main()",
    "seqway": "import seqway_command; seqway_command.main()",
    "seqway-keys": "import services.gateway.authentication.main as m; m.main()",
    "deploy.local": "import runpy; runpy.run_module('deploy.local', run_name='__main__')",
}

# A slow library: its import tells that it has begun, and waits.
SLOW = "print('loading', flush=True)\nimport time\ntime.sleep(60)\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_while_libraries_are_loaded_prints_no_traceback(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text(SLOW)
    path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "sdk" / "python")])
    with subprocess.Popen(
        [sys.executable, "-c", COMMANDS[command]],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.wait(PATIENCE)
        assert time.monotonic() - began < PATIENCE
        told = process.stderr.read()
    assert process.returncode == 130
    assert len(told.splitlines()) == 1, told
    assert "Traceback" not in told
