"""`grpc.health.v1`: whether a service has a model that answers."""

from collections.abc import Mapping

import grpc
from grpc_health.v1 import health, health_pb2  # type: ignore[import-untyped]
from seqway.v1 import (
    classification_pb2,
    job_pb2,
    model_pb2,
    question_answering_pb2,
    summarization_pb2,
    translation_pb2,
)

from services.gateway.calls.connections import Connections
from services.gateway.calls.drain import Draining, DrainingError
from services.gateway.calls.handlers import Context
from services.gateway.metrics import SERVING
from services.inference.models.catalogue import (
    CLASSIFICATION,
    QUESTION_ANSWERING,
    SUMMARIZATION,
    TRANSLATION,
    Catalogue,
)

OVERALL = ""
# For the probes of Kubernetes: the process answers; it has a model, and does not drain.
LIVENESS, READINESS = "liveness", "readiness"
MODELS = model_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
JOBS = job_pb2.DESCRIPTOR.services_by_name["JobService"].full_name

# The services that need a model, and the task that it must be for.
SERVICES: Mapping[str, str] = {
    file.services_by_name[name].full_name: task
    for file, name, task in (
        (translation_pb2.DESCRIPTOR, "TranslationService", TRANSLATION),
        (summarization_pb2.DESCRIPTOR, "SummarizationService", SUMMARIZATION),
        (classification_pb2.DESCRIPTOR, "ClassificationService", CLASSIFICATION),
        (question_answering_pb2.DESCRIPTOR, "QuestionAnsweringService", QUESTION_ANSWERING),
    )
}


class Health:
    """Reports what the catalogue says, until the gateway drains."""

    def __init__(self, catalogue: Catalogue, connections: Connections, draining: Draining) -> None:
        self._catalogue = catalogue
        self._draining = False
        self.servicer = _Servicer(connections, draining)

    async def update(self) -> None:
        """Notifies all watchers: the whole serves when one of its services does."""
        if self._draining:
            return
        await self._set(LIVENESS, True)
        for whole in (OVERALL, READINESS):
            await self._set(whole, self._catalogue.serves())
        await self._set(MODELS, self._catalogue.reachable)
        for service, task in SERVICES.items():
            serving = self._catalogue.serves(task)
            await self._set(service, serving)
            SERVING.labels(service).set(serving)

    async def drain(self) -> None:
        """NOT_SERVING from now on, whatever the catalogue says; liveness stays as it is."""
        self._draining = True
        for service in (OVERALL, READINESS, MODELS, *SERVICES):
            await self._set(service, False)

    async def _set(self, service: str, serving: bool) -> None:
        states = health_pb2.HealthCheckResponse
        await self.servicer.set(service, states.SERVING if serving else states.NOT_SERVING)


class _Servicer(health.aio.HealthServicer):  # type: ignore[misc]
    """Ends watches when the gateway drains, after they were sent NOT_SERVING."""

    def __init__(self, connections: Connections, draining: Draining) -> None:
        super().__init__()
        self._connections = connections
        self._waits = draining

    async def Check(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        self._connections.note(context)
        return await super().Check(request, context)

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> None:
        self._connections.note(context)
        try:
            async with self._waits.ends():
                await super().Watch(request, context)
        except DrainingError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
