"""Which hosts are reached without a proxy."""

import urllib.request

import pytest

from services.foundation.proxies import bypass_proxies_on_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.1:4318"])
@pytest.mark.parametrize("known", [{}, {"no_proxy": "corp.example"}, {"NO_PROXY": "corp.example"}])
def test_this_machine_is_reached_without_a_proxy(host: str, known: dict[str, str]) -> None:
    environment = {"http_proxy": "http://127.0.0.1:9", **known}
    bypass_proxies_on_loopback(environment)
    proxies = {"no": environment["no_proxy"]}
    assert urllib.request.proxy_bypass_environment(host, proxies)
    assert not urllib.request.proxy_bypass_environment("example.com", proxies)
    assert bool(known) == bool(
        urllib.request.proxy_bypass_environment("host.corp.example", proxies)
    )


def test_what_both_variables_name_is_kept_once() -> None:
    environment = {"no_proxy": "a, ::1", "NO_PROXY": "b,a", "no_grpc_proxy": "c"}
    bypass_proxies_on_loopback(environment)
    hosts = environment["no_proxy"].split(",")
    assert hosts[:3] == ["a", "::1", "b"]
    assert sorted(hosts) == sorted(set(hosts))
    assert environment["NO_PROXY"] == environment["no_proxy"]
    assert environment["no_grpc_proxy"].split(",")[0] == "c"
    assert "127.0.0.1" in environment["no_grpc_proxy"]
