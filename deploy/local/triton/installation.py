"""Triton's server as it lies in the wheel of nvidia-pytriton."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError

_STUB = "triton_python_backend_stub"

# Run by the serving environment's own interpreter.  Triton's stub embeds that Python, so the
# loader must find its shared library.
_DESCRIBE_PYTHON = """
import ctypes, json, os, sys, sysconfig
name = "libpython%d.%d.so.1.0" % sys.version_info[:2]
folders = [sysconfig.get_config_var("LIBDIR"), os.path.join(sys.base_prefix, "lib")]
found = next((one for one in folders if one and os.path.exists(os.path.join(one, name))), None)
if found is None:
    try:
        ctypes.CDLL(name)
        found = ""
    except OSError:
        pass
print(json.dumps({
    "packages": sysconfig.get_path("purelib"),
    "version": "%d.%d" % sys.version_info[:2],
    "library": name,
    "library_folder": found,
}))
"""


@dataclass(frozen=True, slots=True)
class TritonFiles:
    """The parts of the serving environment; `library_folder` is "" where no path is needed."""

    environment: Path
    server: Path
    libraries: Path
    python_backend: Path
    stub: Path
    library_folder: str

    @classmethod
    def find(cls, environment: Path) -> "TritonFiles":
        """The files in a virtual environment; `StackError` says what is missing."""
        python = environment / "bin" / "python3"
        if not python.exists():
            raise StackError(f"Triton's environment {environment} is missing: run `make setup`.")
        described = json.loads(
            subprocess.run(
                [python, "-c", _DESCRIBE_PYTHON], check=True, capture_output=True, text=True
            ).stdout
        )
        if described["library_folder"] is None:
            raise StackError(
                f"Triton needs {described['library']}, and this Python has none: install the "
                f"shared library of Python (Debian: libpython{described['version']})."
            )
        packages = Path(described["packages"])
        server = packages / "pytriton" / "tritonserver"
        files = cls(
            environment=environment,
            server=server / "bin" / "tritonserver",
            libraries=packages / "nvidia_pytriton.libs",
            python_backend=server / "backends" / "python",
            stub=server / "python_backend_stubs" / described["version"] / _STUB,
            library_folder=described["library_folder"],
        )
        if not (files.server.exists() and files.stub.exists()):
            raise StackError(
                f"Triton is not in {environment}, or not for Python {described['version']}: "
                "run `make clean setup`."
            )
        return files

    def assemble_backends(self, folder: Path, backends: Mapping[str, Path]) -> None:
        """Makes `folder` a backend directory: Triton's Python backend and the given ones."""
        shutil.rmtree(folder, ignore_errors=True)
        python = folder / "python"
        python.mkdir(parents=True)
        for file in (*self.python_backend.iterdir(), self.stub):
            # Copies: Triton refuses a library that a link leads out of the directory.
            shutil.copy2(file, python)
        for name, source in backends.items():
            (folder / name).symlink_to(source)

    def variables(self, root: Path) -> dict[str, str]:
        """The environment of the server process, on top of this process's own."""
        libraries = [
            str(self.libraries),
            self.library_folder,
            os.environ.get("LD_LIBRARY_PATH", ""),
        ]
        variables = {
            **os.environ,
            # The stub takes the first `python3` of PATH.
            "PATH": f"{self.environment / 'bin'}:{os.environ.get('PATH', os.defpath)}",
            "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
            "PYTHONPATH": str(root),
            # What PyTorch compiles for a GPU.
            "TRITON_CACHE_DIR": str(self.environment / "cache" / "triton"),
            "TORCHINDUCTOR_CACHE_DIR": str(self.environment / "cache" / "inductor"),
        }
        variables.pop("PYTHONHOME", None)
        return variables
