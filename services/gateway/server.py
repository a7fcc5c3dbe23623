"""The gateway, wired."""

import asyncio
import logging

import grpc
from grpc_health.v1 import health, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]
from seqway.v1 import (
    classification_pb2_grpc,
    job_pb2_grpc,
    model_pb2_grpc,
    question_answering_pb2_grpc,
    summarization_pb2_grpc,
    translation_pb2_grpc,
)

from services.foundation.endpoints import host_and_port
from services.gateway.admission.capacity import Capacity
from services.gateway.admission.gate import Gate
from services.gateway.admission.quotas import Quotas
from services.gateway.api.classification import ClassificationServicer
from services.gateway.api.jobs.service import JobServicer
from services.gateway.api.models import ModelServicer
from services.gateway.api.question_answering import QuestionAnsweringServicer
from services.gateway.api.summarization import SummarizationServicer
from services.gateway.api.translation import TranslationServicer
from services.gateway.authentication.authenticator import Authenticator
from services.gateway.calls.connections import Connections
from services.gateway.calls.drain import Draining
from services.gateway.calls.interceptor import CallInterceptor
from services.gateway.health import JOBS, MODELS, SERVICES, Health
from services.gateway.settings import GatewaySettings
from services.gateway.transport import call_options, listen, probe_options
from services.inference.service import InferenceBackend
from services.jobs.service import JobBackend

logger = logging.getLogger(__name__)

# In which live clients close their connections, once the calls have ended.
_FAREWELL_SECONDS = 1.0


class Gateway:
    """A gateway process without the process: start it, drain it.

    To be built inside a running event loop; KeyFileError when its API keys cannot be used.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._authenticator = Authenticator(settings.authentication)
        self._quotas = Quotas(settings.admission, settings.jobs)
        self._inference = InferenceBackend(settings.inference)
        self._connections = Connections(settings.connections.max_idle_connections)
        self._draining = Draining()
        self._health = Health(self._inference.catalogue, self._connections, self._draining)
        self._watch = self._inference.watch(self._health.update)
        self._jobs: JobServicer | None = None
        self._server = self._build()
        self._probes = grpc.aio.server(options=probe_options(settings.connections))
        self._watching: list[asyncio.Task[None]] = []
        self.port = 0

    async def start(self) -> None:
        """Listens, and looks at Triton for the first time; PortInUseError."""
        listener = self._settings.listener
        address = host_and_port(listener.gateway_host, listener.gateway_port)
        self.port = listen(self._server, address, self._settings.serving.certificates)
        await self._health.update()
        await self._server.start()
        await self._start_probes()
        self._watching = [
            asyncio.create_task(self._watch.run(), name="watch"),
            asyncio.create_task(
                self._connections.watch(self.port, listener.health_port), name="connections"
            ),
        ]
        logger.info("listening on %s", host_and_port(listener.gateway_host, self.port))
        if not self._authenticator.required:
            logger.warning("authentication is off: callers are trusted to name their tenant")

    async def drain(self) -> None:
        """Turns NOT_SERVING, waits for callers to see it, lets calls finish, and stops.

        Calls that only wait end at once, and so do connections on which nothing runs.
        """
        logger.info("draining")
        await self._health.drain()
        await asyncio.sleep(self._settings.listener.drain_wait)
        await self._stop_server()
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        if self._jobs is not None:
            await self._jobs.close()
        await self._inference.close()
        await self._probes.stop(None)
        logger.info("stopped")

    async def _stop_server(self) -> None:
        """Refuses calls, and returns when those in flight have ended or the grace has passed."""
        stopping = asyncio.create_task(self._server.stop(self._settings.listener.drain_grace))
        await asyncio.sleep(0)  # that begins: clients that are turned away must not reconnect here
        self._draining.begin()
        idle = asyncio.create_task(self._draining.idle())
        await asyncio.wait([stopping, idle], return_when=asyncio.FIRST_COMPLETED)
        # gRPC would wait out the grace period for idle connections.
        await asyncio.wait([stopping], timeout=_FAREWELL_SECONDS)
        await self._server.stop(None)
        await stopping
        idle.cancel()

    async def _start_probes(self) -> None:
        """Health alone, in plaintext: the probes of Kubernetes have no certificates."""
        listener = self._settings.listener
        if listener.health_port:
            health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, self._probes)
            address = host_and_port(listener.gateway_host, listener.health_port)
            listen(self._probes, address, None)
            await self._probes.start()

    def _build(self) -> grpc.aio.Server:
        settings = self._settings
        capacity = Capacity(
            settings.admission.max_calls,
            settings.admission.max_tokens_in_flight,
            settings.inference.overload_retry_delay,
        )
        gate = Gate(self._authenticator, self._quotas, capacity)
        server = grpc.aio.server(
            interceptors=[CallInterceptor(gate, self._connections, self._draining, settings.calls)],
            options=call_options(settings.connections),
        )
        self._add_tasks(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        if settings.jobs.job_store:
            self._jobs = JobServicer(
                JobBackend(settings.jobs),
                self._inference.catalogue,
                self._quotas,
                settings,
                self._draining,
            )
            job_pb2_grpc.add_JobServiceServicer_to_server(self._jobs, server)
        if settings.listener.reflection:
            names = [*SERVICES, MODELS, health.SERVICE_NAME, reflection.SERVICE_NAME]
            reflection.enable_server_reflection([*names, JOBS] if self._jobs else names, server)
        return server

    def _add_tasks(self, server: grpc.aio.Server) -> None:
        inference, calls, texts = self._inference, self._settings.calls, self._settings.texts
        translation_pb2_grpc.add_TranslationServiceServicer_to_server(
            TranslationServicer(inference.translator, inference.detector, calls, texts), server
        )
        summarization_pb2_grpc.add_SummarizationServiceServicer_to_server(
            SummarizationServicer(inference.summarizer, calls, texts), server
        )
        classification_pb2_grpc.add_ClassificationServiceServicer_to_server(
            ClassificationServicer(inference.classifier, calls, texts), server
        )
        question_answering_pb2_grpc.add_QuestionAnsweringServiceServicer_to_server(
            QuestionAnsweringServicer(inference.answerer, calls, texts), server
        )
        model_pb2_grpc.add_ModelServiceServicer_to_server(
            ModelServicer(inference.catalogue), server
        )
