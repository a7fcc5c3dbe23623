"""Which addresses stay on this machine."""

import ipaddress
import re

_SCHEME = re.compile(r"(dns:(//[^/]*/)?/?|ipv[46]:)", re.IGNORECASE)
_UNIX = ("unix:", "unix-abstract:")


def is_loopback(address: str) -> bool:
    """Whether all that is sent to the address stays on this machine.

    The address is a target as gRPC takes it: "localhost:50051", "[::1]:50051",
    "dns:///127.0.0.1:50051", "ipv4:127.0.0.1:1,127.0.0.2:2", "unix:/run/seqway.sock".
    """
    if address.lower().startswith(_UNIX):
        return True
    hosts = _SCHEME.sub("", address, count=1)
    return all(_is_loopback_host(_without_port(each)) for each in hosts.split(","))


def _without_port(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def _is_loopback_host(host: str) -> bool:
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        name = host.lower().removesuffix(".")
        return name == "localhost" or name.endswith(".localhost")
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
