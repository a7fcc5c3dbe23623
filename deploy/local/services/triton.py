"""Triton as a service of the stack."""

import re
import zlib
from pathlib import Path

from deploy.local.certificates import StackCertificates
from deploy.local.errors import StackError
from deploy.local.ports import HOST
from deploy.local.records import StackRecord
from deploy.local.services.service import Launch, Service
from deploy.local.settings import ROOT, StackSettings
from deploy.local.triton.aliases import plain
from deploy.local.triton.gpu import triton_environment
from deploy.local.triton.installation import TritonFiles
from deploy.local.triton.models import load_models, revive_model
from deploy.local.triton.probe import check_triton, model_of

_SILENT_SECONDS = 30.0
# A GPU's kernels are compiled, and its graphs captured, before a model is ready.
_READY_SECONDS = 300.0

# Tables, what went well, and the complaints about a GPU that isn't there.
_LOG_NOISE = re.compile(r"\s*$|[|+]|I\d{4} |W\d{4} .*(NVML|DCGM|CUDA|GPU|gpu|pinned)")


def triton_service(settings: StackSettings) -> Service:
    """Triton with every model of the repository."""
    ports = settings.ports
    return Service(
        name="triton",
        ports=(ports.triton_grpc, ports.triton_http, ports.triton_metrics),
        launch=lambda: _launch(settings),
        check=lambda: check_triton(settings),
        subject=str(settings.model_repository),
        refresh=lambda: _refresh(settings),
        mend=lambda subject: _mend(settings, subject),
        ready_seconds=_READY_SECONDS,
        silent_seconds=_SILENT_SECONDS,
        clean=lambda: _remove_shared_memory(settings),
        log_noise=_LOG_NOISE,
    )


def _refresh(settings: StackSettings) -> list[str]:
    """Loads what is new, and again what is dead; returns what can't be loaded."""
    for check in check_triton(settings):
        if check.is_dead:
            _mend(settings, check.subject)
    return load_models(settings.ports.triton_http.number, settings.model_repository)


def _mend(settings: StackSettings, subject: str) -> None:
    model = model_of(subject)
    server = StackRecord.load(settings.run_directory).processes.get("triton")
    if not model or server is None:
        raise StackError(f"{subject} needs a restart of Triton.")
    revive_model(settings.ports.triton_http.number, server.pid, model)


def _launch(settings: StackSettings) -> Launch:
    environment, _ = triton_environment(settings)
    files = TritonFiles.find(environment)
    if not any(settings.model_repository.glob("*/config.pbtxt")):
        raise StackError(f"{settings.model_repository} holds no model: run `make models`.")
    backends = settings.run_directory / "backends"
    files.assemble_backends(backends, settings.backends)
    ports = settings.ports
    return Launch(
        command=(
            str(files.server),
            f"--model-repository={plain(settings.model_repository, settings.run_directory)}",
            f"--backend-directory={plain(backends, settings.run_directory)}",
            # Loads all there is, and lets tests unload a model.
            "--model-control-mode=explicit",
            "--load-model=*",
            # A model that can't be loaded is told, and the others serve.
            "--exit-on-error=false",
            # Neither HTTP nor metrics know TLS: only this machine reaches them.
            f"--http-address={HOST}",
            f"--http-port={ports.triton_http.number}",
            f"--grpc-address={HOST}",
            f"--grpc-port={ports.triton_grpc.number}",
            f"--metrics-address={HOST}",
            f"--metrics-port={ports.triton_metrics.number}",
            *_tls(settings.certificates),
            "--exit-timeout-secs=10",
            f"--backend-config=python,shm-region-prefix-name={_shared_memory_prefix(settings)}",
        ),
        environment=files.variables(ROOT),
        directory=ROOT,
    )


def _tls(certificates: StackCertificates | None) -> tuple[str, ...]:
    if certificates is None:
        return ()
    return (
        "--grpc-use-ssl=true",
        "--grpc-use-ssl-mutual=true",
        f"--grpc-root-cert={certificates.authority}",
        f"--grpc-server-cert={certificates.certificate}",
        f"--grpc-server-key={certificates.key}",
    )


def _shared_memory_prefix(settings: StackSettings) -> str:
    """Names the regions of this run directory's Triton."""
    return f"seqway_{zlib.crc32(bytes(settings.run_directory)):08x}_"


def _remove_shared_memory(settings: StackSettings) -> None:
    """Regions that stay when Triton, or a process of a model, was killed."""
    for region in Path("/dev/shm").glob(f"{_shared_memory_prefix(settings)}*"):
        region.unlink(missing_ok=True)
