"""Truthful `grpc.health.v1`."""

from grpc_health.v1 import health, health_pb2  # type: ignore[import-untyped]
from seqway.v1 import model_pb2, translation_pb2

from services.inference.catalogue import Catalogue

OVERALL = ""
TRANSLATION = translation_pb2.DESCRIPTOR.services_by_name["TranslationService"].full_name
MODELS = model_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name


class Health:
    """Serves what the catalogue says, until the gateway drains."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.servicer = health.aio.HealthServicer()

    async def update(self) -> None:
        """Tells all who watch."""
        await self._set(OVERALL, self._catalogue.translates)
        await self._set(TRANSLATION, self._catalogue.translates)
        await self._set(MODELS, self._catalogue.reachable)

    async def drain(self) -> None:
        """NOT_SERVING from now on, whatever the catalogue says."""
        await self.servicer.enter_graceful_shutdown()

    async def _set(self, service: str, serving: bool) -> None:
        states = health_pb2.HealthCheckResponse
        await self.servicer.set(service, states.SERVING if serving else states.NOT_SERVING)
