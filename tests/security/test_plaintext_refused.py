"""Processes that must speak TLS, of whose hops one would be plaintext: they do not start."""

import subprocess

import pytest

from deploy.local.services.gateway import gateway_service
from deploy.local.services.service import Service
from deploy.local.services.workers import controller_service, worker_service
from deploy.local.settings import StackSettings
from tests.security.secured import SecuredStack

_NO_TRITON_TLS = {f"SEQWAY_TRITON_TLS_{name}": None for name in ("CA", "CERTIFICATE", "KEY")}
_NO_CERTIFICATE = {
    "SEQWAY_METRICS_TLS": None,
    **{f"SEQWAY_TLS_{name}": None for name in ("CLIENT_CA", "CERTIFICATE", "KEY")},
}
_PLAIN_REDIS = {
    "SEQWAY_REDIS_URL": "redis://127.0.0.1:1/0",
    **{f"SEQWAY_REDIS_TLS_{name}": None for name in ("CA", "CERTIFICATE", "KEY")},
}
_PLAIN_METRICS = {"SEQWAY_METRICS_TLS": None}
_PLAIN_TRACES = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


def _service(name: str, settings: StackSettings) -> Service:
    match name:
        case "gateway":
            return gateway_service(settings, batch=True)
        case "worker":
            return worker_service(settings)
        case _:
            return controller_service(settings)


@pytest.mark.parametrize(
    ("process", "changed", "hop"),
    [
        ("gateway", _NO_CERTIFICATE, "callers (SEQWAY_TLS_CERTIFICATE)"),
        ("gateway", _PLAIN_METRICS, "metrics (SEQWAY_METRICS_TLS)"),
        ("gateway", _NO_TRITON_TLS, "Triton (SEQWAY_TRITON_TLS_CA)"),
        ("gateway", _PLAIN_REDIS, "Redis (SEQWAY_REDIS_URL)"),
        ("gateway", _PLAIN_TRACES, "traces (OTEL_EXPORTER_OTLP_ENDPOINT)"),
        ("worker", _NO_TRITON_TLS, "Triton (SEQWAY_TRITON_TLS_CA)"),
        ("worker", _PLAIN_REDIS, "Redis (SEQWAY_REDIS_URL)"),
        ("controller", _PLAIN_METRICS, "metrics (SEQWAY_METRICS_TLS)"),
    ],
)
def test_one_plaintext_hop_is_told_and_ends_the_process(
    secured: SecuredStack, process: str, changed: dict[str, str | None], hop: str
) -> None:
    """The rest of its variables is that of the process which runs in the stack."""
    launch = _service(process, secured.settings).launch()
    variables = {**launch.environment, **changed}
    ended = subprocess.run(
        launch.command,
        env={name: value for name, value in variables.items() if value is not None},
        cwd=launch.directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    program = "seqway-gateway" if process == "gateway" else "seqway worker"
    sentence = f"{program}: SEQWAY_REQUIRE_TLS is set, and in plaintext are:"
    assert ended.returncode != 0
    (line,) = (ended.stdout + ended.stderr).strip().splitlines()
    assert line.startswith(sentence)
    assert hop in line
