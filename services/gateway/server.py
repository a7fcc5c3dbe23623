"""The gateway, wired."""

import asyncio
import logging

import grpc
from grpc_health.v1 import health, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]
from seqway.v1 import (
    classification_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    model_pb2_grpc,
    question_answering_pb2_grpc,
    summarization_pb2_grpc,
    translation_pb2_grpc,
)

from services.foundation.certificates import Certificates
from services.foundation.endpoints import PortInUseError, host_and_port
from services.gateway.admission.gate import Gate
from services.gateway.admission.limits import Admission
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
from services.gateway.health import MODELS, SERVICES, Health
from services.gateway.settings import GatewaySettings
from services.inference.models.catalogue import Catalogue
from services.inference.models.choice import VariantChoice
from services.inference.tasks.classifier import Classifier
from services.inference.tasks.question_answering.answerer import Answerer
from services.inference.tasks.summarization.summarizer import Summarizer
from services.inference.tasks.translation.translator import Translator
from services.inference.triton.engine import TritonEngine
from services.inference.triton.watch import Watch
from services.jobs.service import JobBackend

logger = logging.getLogger(__name__)


_IDENTITY_ONLY = 1
# In which a client that lives takes leave of a connection, once its calls have ended.
_FAREWELL_SECONDS = 1.0
_ENDING = 3
# Calls that have come and that Python has not taken yet.  By default gRPC cancels some of more than
# a thousand without a word; how many may be in flight is for admission to say.
_MOST_PENDING = 1 << 14


class Gateway:
    """A gateway process without the process: start it, drain it.

    To be built inside a running event loop; KeyFileError when its API keys cannot be used.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._authenticator = Authenticator(settings)
        self._quotas = _quotas(settings)
        self._engine = TritonEngine(settings)
        self._catalogue = Catalogue(
            VariantChoice(settings.preferred_precisions, settings.max_quality_loss)
        )
        self._connections = Connections(settings.max_idle_connections)
        self._draining = Draining()
        self._health = Health(self._catalogue, self._connections, self._draining)
        self._watch = Watch(
            self._engine,
            self._engine.encoder,
            self._engine.repository,
            self._catalogue,
            settings,
            self._health.update,
        )
        self._jobs: JobServicer | None = None
        self._server = self._build()
        self._probes = grpc.aio.server(options=_connection_options(settings))
        self._watching: list[asyncio.Task[None]] = []
        self.port = 0

    async def start(self) -> None:
        """Listens, and looks at Triton for the first time; PortInUseError."""
        address = host_and_port(self._settings.gateway_host, self._settings.gateway_port)
        self.port = _listen(self._server, address, self._settings.certificates)
        await self._health.update()
        await self._server.start()
        await self._start_probes()
        self._watching = [
            asyncio.create_task(self._watch.run(), name="watch"),
            asyncio.create_task(
                self._connections.watch(self.port, self._settings.health_port), name="connections"
            ),
        ]
        logger.info("listening on %s", host_and_port(self._settings.gateway_host, self.port))
        if not self._authenticator.required:
            logger.warning("there is no authentication: callers are trusted to name their tenant")

    async def drain(self) -> None:
        """Turns NOT_SERVING, waits for callers to see it, lets calls finish, and stops.

        Calls that only wait end at once, and so do connections on which nothing runs.
        """
        logger.info("draining")
        await self._health.drain()
        await asyncio.sleep(self._settings.drain_wait)
        await self._stop_server()
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        if self._jobs is not None:
            await self._jobs.close()
        await self._engine.close()
        await self._probes.stop(None)
        logger.info("stopped")

    async def _stop_server(self) -> None:
        """Refuses calls, and returns when those in flight have ended or the grace has passed."""
        stopping = asyncio.create_task(self._server.stop(self._settings.drain_grace))
        await asyncio.sleep(0)  # that begins: who is sent away must not come back here
        self._draining.begin()
        idle = asyncio.create_task(self._draining.idle())
        await asyncio.wait([stopping, idle], return_when=asyncio.FIRST_COMPLETED)
        # gRPC would wait out the grace for connections that say nothing.
        await asyncio.wait([stopping], timeout=_FAREWELL_SECONDS)
        await self._server.stop(None)
        await stopping
        idle.cancel()

    async def _start_probes(self) -> None:
        """Health alone, in plaintext: the probes of Kubernetes have no certificates."""
        port = self._settings.health_port
        if port:
            health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, self._probes)
            _listen(self._probes, host_and_port(self._settings.gateway_host, port), None)
            await self._probes.start()

    def _build(self) -> grpc.aio.Server:
        settings = self._settings
        admission = Admission(
            settings.max_calls, settings.max_tokens_in_flight, settings.overload_retry_delay
        )
        gate = Gate(self._authenticator, self._quotas, admission)
        server = grpc.aio.server(
            interceptors=[CallInterceptor(gate, self._connections, self._draining, settings)],
            options=_channel_options(settings),
        )
        self._add_tasks(server)
        model_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(self._catalogue), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        if settings.job_store:
            self._jobs = JobServicer(
                JobBackend(settings), self._catalogue, self._quotas, settings, self._draining
            )
            job_pb2_grpc.add_JobServiceServicer_to_server(self._jobs, server)
        if settings.reflection:
            ours = (*SERVICES, MODELS, *_jobs(settings))
            names = (*ours, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)
        return server

    def _add_tasks(self, server: grpc.aio.Server) -> None:
        engine, encoder = self._engine, self._engine.encoder
        catalogue, settings = self._catalogue, self._settings
        translation_pb2_grpc.add_TranslationServiceServicer_to_server(
            TranslationServicer(Translator(engine, catalogue, settings), settings), server
        )
        summarization_pb2_grpc.add_SummarizationServiceServicer_to_server(
            SummarizationServicer(Summarizer(engine, catalogue, settings), settings), server
        )
        classification_pb2_grpc.add_ClassificationServiceServicer_to_server(
            ClassificationServicer(Classifier(encoder, catalogue), settings), server
        )
        question_answering_pb2_grpc.add_QuestionAnsweringServiceServicer_to_server(
            QuestionAnsweringServicer(Answerer(engine, encoder, catalogue, settings), settings),
            server,
        )


def _listen(server: grpc.aio.Server, address: str, certificates: Certificates | None) -> int:
    """The port; PortInUseError."""
    try:
        if certificates is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, certificates.server_credentials())
    except RuntimeError:
        raise PortInUseError(
            f"cannot listen on {address}: is the port in use, or SEQWAY_GATEWAY_HOST no address of"
            " this machine?"
        ) from None


def _quotas(settings: GatewaySettings) -> Quotas:
    shared = settings.redis_address if settings.limits_store == "redis" else None
    return Quotas(settings.tenant_limits, shared, settings.redis_timeout)


def _jobs(settings: GatewaySettings) -> tuple[str, ...]:
    """The name of the service of jobs, where there is one."""
    service = job_pb2.DESCRIPTOR.services_by_name["JobService"]
    return (service.full_name,) if settings.job_store else ()


def _connection_options(settings: GatewaySettings) -> list[tuple[str, int]]:
    """How long connections last on which nothing comes, and how many there may be."""
    options = [
        ("grpc.so_reuseport", int(settings.reuse_port)),
        ("grpc.server_handshake_timeout_ms", int(settings.handshake_timeout * 1000)),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
    ]
    if settings.max_connection_idle:
        options.append(("grpc.max_connection_idle_ms", int(settings.max_connection_idle * 1000)))
    return options


def _channel_options(settings: GatewaySettings) -> list[tuple[str, int]]:
    options = [
        *_connection_options(settings),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", settings.max_connection_streams),
        # A client counts a call as ended when its answer has come, the server when the last of it
        # is freed.  Without this room (grpcio 1.81.1) calls within the limit are refused now and
        # then (REFUSED_STREAM).  It bounds calls that are made and taken back (CVE-2023-44487).
        ("grpc.http2.max_deallocating_streams", _ENDING * settings.max_connection_streams),
        ("grpc.server.max_pending_requests", _MOST_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
        # What is compressed is as large as it likes before its length is checked (grpc#43012).
        ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
        ("grpc.keepalive_time_ms", int(settings.keepalive_time * 1000)),
        ("grpc.keepalive_timeout_ms", int(settings.keepalive_timeout * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            int(settings.client_ping_interval * 1000),
        ),
        (
            "grpc.http2.min_recv_ping_interval_without_data_ms",
            int(settings.client_ping_interval * 1000),
        ),
    ]
    if settings.max_connection_age:
        options.append(("grpc.max_connection_age_ms", int(settings.max_connection_age * 1000)))
    return options
