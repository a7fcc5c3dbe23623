"""The services that are measured: our gateway by both kinds of calls, and two peers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.local.records import StackRecord
from deploy.local.settings import StackSettings
from tests.benchmarks.open_loop.callers import PeerCaller, SeqwayCaller
from tests.benchmarks.open_loop.levels import Service
from tests.benchmarks.open_loop.peer import PeerSetting, RunningPeer, running_peer
from tests.benchmarks.systems.system import THREADS

OUR_PROCESSES = ("gateway", "triton")


def our_services(stack: StackSettings, model: str, limit: int) -> list[Service]:
    """Unary calls and streams at a stack that runs; they share its processes."""
    processes = StackRecord.load(stack.run_directory).processes
    pids = tuple(processes[name].pid for name in OUR_PROCESSES)
    address = stack.gateway_address
    return [
        Service(
            name,
            "",
            pids,
            lambda stream=stream: SeqwayCaller(address, model, limit, stream=stream),  # type: ignore[misc]
        )
        for name, stream in (("Seqway gateway", False), ("Seqway gateway, streams", True))
    ]


@contextmanager
def running_peers(
    converted: Path, checkpoint: Path, limit: int, *, short: bool
) -> Iterator[list[Service]]:
    """CTranslate2 without and with dynamic batching, at one worker a core and one for all."""
    with ExitStack() as stack:
        services = []
        for batching in (False, True):
            for inter in (THREADS,) if short else (THREADS, 1):
                setting = PeerSetting(
                    *(converted, checkpoint / "tokenizer.json", inter, THREADS // inter),
                    limit,
                    batching,
                )
                peer = stack.enter_context(running_peer(setting))
                services.append(_service(setting, peer))
        yield services


def _service(setting: PeerSetting, peer: RunningPeer) -> Service:
    return Service(
        setting.name,
        f"({setting.inter} x {setting.intra})",
        (peer.pid,),
        lambda: PeerCaller(peer.address),
    )
