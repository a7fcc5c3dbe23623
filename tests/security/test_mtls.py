"""Certificates on every hop of the real stack: what works with them, and who is refused."""

import grpc
import kombu.pools
import psutil
import pytest
from seqway import JobState, UnavailableError

from deploy.local.certificates import Certificates
from deploy.local.records import StackRecord
from deploy.local.services.redis import redis_url
from services.inference.settings import InferenceSettings
from services.jobs.errors import QueueUnavailableError
from services.jobs.queue.board import Board, Ticket
from services.jobs.queue.messages import Queue, celery_app
from services.jobs.settings import JobSettings
from tests.security.secured import DOORS, Door, SecuredStack, context_of

_REFUSAL_SECONDS = 3.0


def test_calls_streams_and_batches_work(secured: SecuredStack) -> None:
    with secured.client(secured.ours) as client:
        answer = client.translate("A small text editor.", source="en", target="fr")
        stream = client.stream_translate("A small text editor.", source="en", target="fr")
        assert "".join(stream.text()) == answer.text
        job = client.jobs.translate(["A small text editor."] * 3, source="en", target="fr")
        assert client.jobs.wait(job.id, timeout=60).state is JobState.SUCCEEDED
        assert [one.text for one in client.jobs.results(job.id)] == [answer.text] * 3


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.port)
def test_every_port_is_open_to_our_certificates_alone(secured: SecuredStack, door: Door) -> None:
    assert secured.knock(door, context_of(secured.ours))
    assert not secured.knock(door, None), "plaintext"
    assert not secured.knock(door, context_of(secured.ours, shown=False)), "no certificate"
    assert not secured.knock(door, context_of(secured.stranger)), "another authority's"
    assert secured.knock(door, context_of(secured.ours)), "who is refused breaks nothing"


def test_what_knows_no_tls_is_open_to_this_machine_alone(secured: SecuredStack) -> None:
    ports = secured.settings.ports
    pid = StackRecord.load(secured.settings.run_directory).processes["triton"].pid
    listening = {
        one.laddr.port: one.laddr.ip
        for one in psutil.Process(pid).net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    }
    for port in (ports.triton_http, ports.triton_metrics):
        assert listening[port.number] == "127.0.0.1"


@pytest.mark.parametrize("who", ["plaintext", "stranger", "misled"])
def test_the_sdk_is_refused(secured: SecuredStack, who: str) -> None:
    certificates = {"plaintext": None, "stranger": secured.stranger, "misled": secured.misled}[who]
    with (
        secured.client(certificates, timeout=_REFUSAL_SECONDS) as client,
        pytest.raises(UnavailableError),
    ):
        client.list_models()


def test_triton_is_trusted_by_its_authority_alone(secured: SecuredStack) -> None:
    assert _reaches_triton(secured, secured.ours)
    assert not _reaches_triton(secured, secured.stranger)
    assert not _reaches_triton(secured, secured.misled)


def test_redis_is_trusted_by_its_authority_alone(secured: SecuredStack) -> None:
    ours = _jobs(secured, secured.ours)
    Board(ours.redis_address, ours.redis_timeout, {}).load()
    Queue(celery_app(ours)).finish_job("none")
    unnamed = ours.model_copy(update={"redis_tls_ca": None})
    for settings in (_jobs(secured, secured.misled), _jobs(secured, secured.stranger), unnamed):
        with pytest.raises(QueueUnavailableError):
            Board(settings.redis_address, settings.redis_timeout, {}).load()
    # Connections are pooled by address, whatever their certificates.
    kombu.pools.reset()  # type: ignore[no-untyped-call]
    with pytest.raises(QueueUnavailableError):
        Queue(celery_app(unnamed)).run_chunk(Ticket("none", 1, 0))


def _reaches_triton(secured: SecuredStack, files: Certificates) -> bool:
    settings = InferenceSettings(
        triton_url=f"127.0.0.1:{secured.settings.ports.triton_grpc.number}",
        triton_tls_ca=files.authority,
        triton_tls_certificate=files.certificate,
        triton_tls_key=files.key,
    )
    certificates = settings.triton_certificates
    assert certificates is not None
    credentials = certificates.channel_credentials()
    with grpc.secure_channel(settings.triton_url, credentials) as channel:
        live: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/inference.GRPCInferenceService/ServerLive"
        )
        try:
            live(b"", timeout=_REFUSAL_SECONDS)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            return False
    return True


def _jobs(secured: SecuredStack, files: Certificates) -> JobSettings:
    return JobSettings(
        redis_url=redis_url(secured.settings),
        redis_tls_ca=files.authority,
        redis_tls_certificate=files.certificate,
        redis_tls_key=files.key,
    )
