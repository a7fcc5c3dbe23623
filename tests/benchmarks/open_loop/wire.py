"""What a peer's server and its callers agree on."""

SERVICE, METHOD = "peer.Translation", "Translate"
CHANNEL_OPTIONS = (("grpc.enable_http_proxy", 0),)  # the server is on this machine


def encode(text: str) -> bytes:
    """A message of a call."""
    return text.encode()


def decode(message: bytes) -> str:
    """The text of a message."""
    return message.decode()
