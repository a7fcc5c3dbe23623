"""The gateway as a service of the stack."""

import os
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from deploy.local.ports import HOST
from deploy.local.services.manifests import read_models
from deploy.local.services.service import Check, Launch, Service
from deploy.local.services.workers import batch_environment
from deploy.local.settings import ROOT, StackSettings
from deploy.local.triton.models import model_states

_SECONDS = 3.0
# It listens on this machine, whatever `http_proxy` says.
_CHANNEL_OPTIONS = (("grpc.enable_http_proxy", 0),)
_ALWAYS = "seqway.v1.ModelService"
_SERVICE_OF_TASK = {
    "translation": "seqway.v1.TranslationService",
    "summarization": "seqway.v1.SummarizationService",
    "classification": "seqway.v1.ClassificationService",
    "question-answering": "seqway.v1.QuestionAnsweringService",
}


def gateway_service(settings: StackSettings, *, batch: bool = False) -> Service:
    """The gateway in front of the stack's Triton; it takes batch jobs if `batch`."""
    ports = settings.ports
    return Service(
        name="gateway",
        ports=(ports.gateway, ports.gateway_metrics),
        launch=lambda: Launch(
            command=(str(Path(sys.executable).with_name("seqway-gateway")),),
            environment={
                "SEQWAY_DRAIN_GRACE": "5",  # less than `stop_seconds`
                **(batch_environment(settings) if batch else os.environ),
                "SEQWAY_GATEWAY_HOST": HOST,
                "SEQWAY_GATEWAY_PORT": str(ports.gateway.number),
                "SEQWAY_METRICS_PORT": str(ports.gateway_metrics.number),
                "SEQWAY_TRITON_URL": f"{HOST}:{ports.triton_grpc.number}",
                **settings.tls_variables,
            },
            directory=ROOT,
        ),
        check=lambda: check_gateway(settings),
    )


def check_gateway(settings: StackSettings) -> list[Check]:
    """Asks `grpc.health.v1` for each service that Triton has a model for."""
    states = model_states(settings.ports.triton_http.number)
    ready = {name for name, state in states.items() if state.is_ready}
    tasks = {
        model.task
        for model in read_models(settings.model_repository)
        if not states or model.name in ready
    }
    names = [service for task, service in _SERVICE_OF_TASK.items() if task in tasks]
    with _channel(settings) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        return [_check_service(health, name) for name in (*names, _ALWAYS)]


def _channel(settings: StackSettings) -> grpc.Channel:
    if settings.certificates is None:
        return grpc.insecure_channel(settings.gateway_address, _CHANNEL_OPTIONS)
    return grpc.secure_channel(
        settings.gateway_address, settings.certificates.channel_credentials(), _CHANNEL_OPTIONS
    )


def _check_service(health: health_pb2_grpc.HealthStub, name: str) -> Check:
    subject = name.rpartition(".")[2]
    try:
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=_SECONDS)
    except grpc.RpcError as error:
        code = error.code()
        return Check(subject, ok=False, detail=f"doesn't answer ({code.name})", is_silent=True)
    state = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return Check(subject, ok=state == "SERVING", detail="" if state == "SERVING" else state)
