"""Traffic on this machine bypasses proxies."""

import os
from collections.abc import MutableMapping

_LOOPBACK = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
# Python, Rust (obstore) and gRPC each read one of these two; gRPC prefers one of its own.
_VARIABLES = ("no_proxy", "NO_PROXY")
_GRPC_VARIABLE = "no_grpc_proxy"


def bypass_proxies_on_loopback(environment: MutableMapping[str, str] = os.environ) -> None:
    """Adds the addresses of this machine to what HTTP and gRPC clients reach without a proxy.

    Otherwise, with `http_proxy` set, most of them would send the traffic of Triton, the store and
    the collector on 127.0.0.1 to the proxy.  To be called before the first client is made.
    """
    named = [environment[name] for name in _VARIABLES if environment.get(name)]
    for name in _VARIABLES:
        environment[name] = _joined(*named)
    if environment.get(_GRPC_VARIABLE):
        environment[_GRPC_VARIABLE] = _joined(environment[_GRPC_VARIABLE])


def _joined(*lists: str) -> str:
    hosts = [host.strip() for hosts in lists for host in hosts.split(",")]
    return ",".join(dict.fromkeys([*filter(None, hosts), *_LOOPBACK]))
