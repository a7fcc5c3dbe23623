"""Settings of the real processes, from variables and files of secrets."""

import ssl
from pathlib import Path
from typing import get_type_hints

import pytest
import trustme

from services.foundation.environment import (
    InvalidSettingsError,
    ProcessSettings,
    describe,
    fields_of,
    read_settings,
)
from services.gateway.settings import GatewaySettings
from services.jobs.queue.messages import celery_app
from services.jobs.settings import JobSettings
from workers.settings import WorkerSettings


@pytest.fixture
def pem(tmp_path: Path) -> dict[str, str]:
    """Files of a certificate, as variables name them."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "certificate", "key")}
    authority.cert_pem.write_to_path(str(files["ca"]))
    certificate.private_key_pem.write_to_path(str(files["key"]))
    certificate.cert_chain_pems[0].write_to_path(str(files["certificate"]))
    return {name: str(path) for name, path in files.items()}


def test_secrets_are_read_from_files_and_variables_count_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "seqway_redis_url").write_text("redis://:secret@one:1/0\n")
    (tmp_path / "seqway_max_calls").write_text("7\n")
    monkeypatch.setenv("SEQWAY_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("SEQWAY_MAX_CALLS", "8")
    settings = read_settings(GatewaySettings)
    assert (settings.jobs.redis_url, settings.admission.max_calls) == ("redis://:secret@one:1/0", 8)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"SEQWAY_SECRETS_DIR": "/nowhere"},
            "SEQWAY_SECRETS_DIR is '/nowhere', which is not a",
        ),
        ({"SEQWAY_MAX_CALLS": "none"}, "SEQWAY_MAX_CALLS: Input should be a valid integer"),
        ({"SEQWAY_TLS_KEY": "key"}, "SEQWAY_TLS_CERTIFICATE is not set"),
        ({"SEQWAY_TLS_CERTIFICATE": "certificate"}, "SEQWAY_TLS_KEY is not set"),
        ({"SEQWAY_TLS_CERTIFICATE": "/nowhere"}, "SEQWAY_TLS_CERTIFICATE: Path does not point"),
        ({"SEQWAY_TLS_CLIENT_CA": "ca"}, "SEQWAY_TLS_CERTIFICATE is not set: without it"),
        ({"SEQWAY_METRICS_TLS": "true"}, "SEQWAY_METRICS_TLS needs SEQWAY_TLS_CERTIFICATE"),
        (
            {"SEQWAY_TRITON_TLS_CERTIFICATE": "certificate", "SEQWAY_TRITON_TLS_KEY": "key"},
            "SEQWAY_TRITON_TLS_CA is not set",
        ),
        ({"SEQWAY_REDIS_TLS_CA": "ca"}, "SEQWAY_REDIS_URL is not rediss://"),
        ({"SEQWAY_API_KEYS_FILE": "ca"}, "SEQWAY_API_KEY_PEPPER must have 16 characters"),
        ({"SEQWAY_JWT_ISSUER": "https://id.example"}, "SEQWAY_JWT_AUDIENCE must be set"),
        ({"SEQWAY_JWT_AUDIENCE": "seqway"}, "SEQWAY_JWT_ISSUER must be set"),
        (
            {"SEQWAY_TENANT_LIMITS": "{bad"},
            "SEQWAY_TENANT_LIMITS is not valid JSON, or cannot be read: Expecting",
        ),
        (
            {"SEQWAY_TENANT_LIMITS": '{"*": {"calls": 3}}'},
            "SEQWAY_TENANT_LIMITS (*.calls): Extra inputs",
        ),
    ],
)
def test_what_cannot_go_together_is_told_by_its_variables(
    variables: dict[str, str], message: str, pem: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, pem.get(value, value))
    with pytest.raises(InvalidSettingsError) as caught:
        read_settings(GatewaySettings)
    assert message in str(caught.value)


def test_plaintext_is_refused_hop_by_hop_when_tls_is_required(
    pem: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [
        ("SEQWAY_REQUIRE_TLS", "true", "traces (OTEL_EXPORTER_OTLP_ENDPOINT)"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector", "Triton (SEQWAY_TRITON_TLS_CA)"),
        ("SEQWAY_TRITON_TLS_CA", pem["ca"], "Redis (SEQWAY_REDIS_URL)"),
        ("SEQWAY_REDIS_URL", "rediss://cache", "the object store (AWS_ENDPOINT_URL)"),
        ("AWS_ENDPOINT_URL", "https://store", "callers (SEQWAY_TLS_CERTIFICATE)"),
        ("SEQWAY_TLS_CERTIFICATE", pem["certificate"], "metrics (SEQWAY_METRICS_TLS)"),
    ]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store")
    monkeypatch.setenv("SEQWAY_JOB_STORE", "s3://bucket/jobs")
    monkeypatch.setenv("SEQWAY_METRICS_PORT", "9464")
    monkeypatch.setenv("SEQWAY_TLS_KEY", pem["key"])
    monkeypatch.delenv("SEQWAY_TLS_KEY")
    for name, value, hop in steps:
        monkeypatch.setenv(name, value)
        if name == "SEQWAY_TLS_CERTIFICATE":
            monkeypatch.setenv("SEQWAY_TLS_KEY", pem["key"])
        with pytest.raises(InvalidSettingsError) as caught:
            read_settings(GatewaySettings)
        assert hop in str(caught.value)
    monkeypatch.setenv("SEQWAY_METRICS_TLS", "true")
    assert read_settings(GatewaySettings).plaintext_hops() == []


def test_workers_refuse_plaintext_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQWAY_REQUIRE_TLS", "true")
    with pytest.raises(InvalidSettingsError, match="in plaintext are: Triton"):
        read_settings(WorkerSettings)


def test_a_redis_that_only_counts_rates_is_a_hop_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQWAY_REQUIRE_TLS", "true")
    monkeypatch.setenv("SEQWAY_LIMITS_STORE", "redis")
    with pytest.raises(InvalidSettingsError, match=r"Redis \(SEQWAY_REDIS_URL\)"):
        read_settings(GatewaySettings)


def test_the_certificate_of_redis_is_checked_where_no_file_is_named() -> None:
    app = celery_app(JobSettings(redis_url="rediss://cache"))
    assert app.connection_for_write().ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED}


@pytest.mark.parametrize("kind", [GatewaySettings, WorkerSettings])
def test_a_setting_is_in_one_group_and_help_describes_it(kind: type[ProcessSettings]) -> None:
    groups = [group.model_fields.keys() for group in get_type_hints(kind).values()]
    assert sum(map(len, groups)) == len(fields_of(kind))
    text = describe(kind)
    assert all(f"  SEQWAY_{name.upper()} = " in text for name in fields_of(kind))
    assert "  SEQWAY_REDIS_TIMEOUT = 5.0\n      timeout of requests to Redis" in text


def test_values_count_before_the_environment_and_must_be_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEQWAY_MAX_CALLS", "8")
    assert read_settings(GatewaySettings, max_calls=7).admission.max_calls == 7
    with pytest.raises(TypeError, match="unknown settings: calls"):
        read_settings(GatewaySettings, calls=7)
