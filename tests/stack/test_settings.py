import pytest

from deploy.local.errors import StackError
from deploy.local.settings import ROOT, settings_from_environment


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
