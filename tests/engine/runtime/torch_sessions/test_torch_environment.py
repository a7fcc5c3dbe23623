"""PyTorch's session needs no package beyond those that Triton's environment for GPUs has."""

import subprocess
import sys

from tests.deploy.rendering import ROOT

IMPORT = """
import importlib.abc, importlib.metadata, re, sys

known = set(sys.argv[1].split())
modules = importlib.metadata.packages_distributions()

class Elsewhere(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        owners = modules.get(name, []) if path is None else []
        owners = {re.sub("[-_.]+", "-", one).lower() for one in owners}
        if owners and not owners & known:
            raise ModuleNotFoundError(f"{name} is of {owners}", name=name)

sys.meta_path.insert(0, Elsewhere())
import engine.backend.loss
import engine.runtime.sessions.torch.session
"""


def test_it_imports_nothing_else() -> None:
    files = ("triton-requirements.txt", "torch-requirements.txt")
    lines = "\n".join((ROOT / "deploy" / "local" / file).read_text() for file in files).split("\n")
    names = [line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, " ".join([*names, "seqway-server"])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
