"""Processes of images that were built in a folder."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil

from tests.deploy.bundle import Bundle
from tests.deploy.rendering import overlay_objects
from tests.deploy.scratch import Image

PATIENCE = 60.0


@contextmanager
def running(image: Image, *arguments: str, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = image.start(*arguments, **variables)
    try:
        yield process
    finally:
        _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """With its children: a model's process outlives a Triton that is killed."""
    children: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def wait_until(what: Callable[[], bool], image: Image, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        log = (image.folder / "log").read_text()
        assert process.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.1)


def arguments_of(name: str, components: Sequence[str] = ()) -> list[str]:
    bundle = Bundle(overlay_objects("dev", components))
    container = next(one for one in bundle.containers if one.spec["name"] == name)
    return list(container.spec.get("args", []))
