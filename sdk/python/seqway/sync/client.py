# Generated from ../aio/client.py by `make client`.

"""The client of a server."""

from typing import Self

from seqway.results import Model
from seqway.sync.calls import Calls
from seqway.sync.jobs import Jobs
from seqway.sync.tasks import Tasks
from seqway.tasks.health import CHECK_HEALTH, health_request
from seqway.tasks.models import GET_MODEL, LIST_MODELS
from seqway.transport.security import Access, Tls
from seqway.v1.model_pb2 import GetModelRequest, ListModelsRequest


class Client(Tasks):
    """Calls a Seqway server.  Close it, or use it in a `with` block (`async with` in asyncio).

    `Client` is safe to share between threads.  `AsyncClient` has the same methods for asyncio; it
    connects when it is first used, and anew when another event loop uses it.

    Every call raises a subclass of `SeqwayError` when it fails.  A call that the server has no room
    for waits and is sent again, within its timeout.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        tls: Tls | None = None,
        timeout: float = 60.0,
        tenant: str | None = None,
        api_key: str | None = None,
        allow_plaintext_key: bool = False,
        retry_overloaded: bool = True,
    ) -> None:
        """Connects when the first call is made.

        Args:
            address: "host:port", or "dns:///host:port" to spread calls over all hosts behind a
                name; by default SEQWAY_ADDRESS, else 127.0.0.1:50051.
            tls: True encrypts the connection, `TlsFiles` names the files for it; by default there
                is TLS when SEQWAY_TLS_CA, or SEQWAY_TLS_CERTIFICATE and SEQWAY_TLS_KEY, name files.
            timeout: Seconds for every call without its own; those of `jobs` may take hours.
            tenant: Whose jobs it works on where the server asks for no key; by default
                SEQWAY_TENANT.
            api_key: Identifies the caller; by default SEQWAY_API_KEY.
            allow_plaintext_key: Sends the key over a network without TLS.
            retry_overloaded: False has a call fail at once that the server has no room for.

        Raises:
            ValueError: The key would cross a network in plaintext, or can't be a key.
            OSError: A file of `tls` can't be read.

        """
        access = Access(tls, tenant, api_key, allow_plaintext_key)
        self._calls = Calls(address, timeout, access, retry_overloaded=retry_overloaded)
        self.address = self._calls.address
        self.jobs = Jobs(self._calls)

    def list_models(self) -> list[Model]:
        """All variants, by name."""
        models: list[Model] = []
        request: ListModelsRequest | None = ListModelsRequest()
        while request is not None:
            page = self._calls.unary(LIST_MODELS, request)
            models.extend(page.models)
            request = page.following
        return models

    def get_model(self, name: str) -> Model:
        """One variant; `NotFoundError` when there is none of that name."""
        return self._calls.unary(GET_MODEL, GetModelRequest(name=name))

    def check_health(self, service: str = "") -> bool:
        """Whether a service, such as "seqway.v1.TranslationService", serves, or the whole server.

        `NotFoundError` when the server has no such service.
        """
        return self._calls.unary(CHECK_HEALTH, health_request(service))

    def close(self) -> None:
        """Ends all calls and frees the connection."""
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
