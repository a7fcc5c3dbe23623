"""The Celery workers as services of the stack: one runs chunks, one looks after the jobs."""

import os
import shutil
import socket
import sys
from pathlib import Path

import redis

from deploy.local.ports import HOST, Port
from deploy.local.records import StackRecord
from deploy.local.services.redis import redis_client, redis_url
from deploy.local.services.service import Check, Launch, Service
from deploy.local.settings import ROOT, StackSettings

_STOP_SECONDS = 20.0
_SOFT_SHUTDOWN_SECONDS = 8  # less than that


def batch_environment(settings: StackSettings) -> dict[str, str]:
    """What the gateway and the workers have to agree about; the user's variables come first."""
    return {
        "SEQWAY_JOB_INPUT_URIS": f'["file://{ROOT}/examples/"]',
        **os.environ,
        "SEQWAY_JOB_STORE": settings.job_store or f"file://{settings.run_directory}/jobs",
        "SEQWAY_REDIS_URL": redis_url(settings),
        "SEQWAY_TRITON_URL": f"{HOST}:{settings.ports.triton_grpc.number}",
        **settings.tls_variables,
    }


def worker_service(settings: StackSettings) -> Service:
    """Runs chunks, in as many processes as `settings.workers`."""
    return _service(
        settings,
        "worker",
        settings.ports.worker_metrics,
        *("--queues", "seqway.chunks"),
        *("--concurrency", str(settings.workers)),
        *("--prefetch-multiplier", "1"),
        "--disable-prefetch",
    )


def controller_service(settings: StackSettings) -> Service:
    """Ends jobs, and looks for what was lost."""
    return _service(
        settings,
        "controller",
        settings.ports.controller_metrics,
        *("--queues", "seqway.control"),
        *("--pool", "threads"),
        *("--concurrency", "2"),
    )


def _service(settings: StackSettings, role: str, metrics: Port, *options: str) -> Service:
    temporary = settings.run_directory / f"{role}-temporary"
    return Service(
        name=role,
        ports=(),
        metrics_ports=(metrics,),
        launch=lambda: _launch(settings, role, metrics, temporary, options),
        check=lambda: [_check(settings, role)],
        subject=settings.job_store,
        clean=lambda: shutil.rmtree(temporary, ignore_errors=True),
        stop_seconds=_STOP_SECONDS,
    )


def _launch(
    settings: StackSettings, role: str, metrics: Port, temporary: Path, options: tuple[str, ...]
) -> Launch:
    temporary.mkdir(parents=True, exist_ok=True)
    return Launch(
        command=(
            str(Path(sys.executable).with_name("celery")),
            *("--app", "workers.app"),
            "worker",
            *("--hostname", f"{role}@%h"),
            *options,
        ),
        environment={
            "SEQWAY_WORKER_SOFT_SHUTDOWN": str(_SOFT_SHUTDOWN_SECONDS),
            **batch_environment(settings),
            "SEQWAY_METRICS_HOST": HOST,
            "SEQWAY_METRICS_PORT": str(metrics.number),
            # Its processes count in files there, which a killed one leaves behind.
            "TMPDIR": str(temporary),
            # SIGTERM without it is a warm shutdown, which waits for chunks without an end.
            "REMAP_SIGTERM": "SIGQUIT",
        },
        directory=ROOT,
    )


def _check(settings: StackSettings, role: str) -> Check:
    """Whether the very process that was started has said that it consumes."""
    process = StackRecord.load(settings.run_directory).processes.get(role)
    pid = process.pid if process else 0
    with redis_client(settings) as client:
        try:
            lives = client.exists(f"seqway:alive:{role}:{socket.gethostname()}:{pid}")
        except redis.RedisError as error:
            detail = f"Redis doesn't answer ({type(error).__name__})"
            return Check("server", ok=False, detail=detail)
    return Check("server", ok=bool(lives), detail="" if lives else "takes no messages")
