"""Keeps the catalogue true: asks Triton what it serves, and each model whether it lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from services.foundation.endings import ENDINGS
from services.inference.errors import ServiceError, TritonUnavailableError
from services.inference.models.catalogue import Catalogue, Variant
from services.inference.models.manifest import Manifest
from services.inference.rows.encoder import Encoder
from services.inference.rows.engine import InferenceEngine
from services.inference.settings import InferenceSettings

logger = logging.getLogger(__name__)

_SECOND_LOOK = 0.1


class Repository(Protocol):
    """Where models and their manifests are listed; raises TritonUnavailableError."""

    async def index(self, within: float) -> dict[str, bool]:
        """Every model by name, and whether it is loaded."""
        ...

    async def manifest(self, model: str, within: float) -> Manifest | None:
        """The manifest of a model; None when it has none."""
        ...


class Watch:
    """Looks at every interval; `on_look` is awaited after each look."""

    def __init__(
        self,
        engine: InferenceEngine,
        encoder: Encoder,
        repository: Repository,
        catalogue: Catalogue,
        settings: InferenceSettings,
        on_look: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._encoder = encoder
        self._repository = repository
        self._catalogue = catalogue
        self._interval = settings.health_interval
        self._within = settings.probe_timeout
        self._on_look = on_look
        self._manifests: dict[str, Manifest | None] = {}

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            try:
                await self.look()
            except ENDINGS:
                raise
            except BaseException:
                logger.exception("a look at Triton failed")
            await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Brings the catalogue up to date, once."""
        before = self._catalogue.reachable, self._catalogue.variants()
        try:
            self._catalogue.replace(await self._ask())
        except TritonUnavailableError as error:
            self._catalogue.lose()
            self._manifests = {}
            if before[0]:
                logger.warning("%s", error)
        if before != (self._catalogue.reachable, self._catalogue.variants()):
            self._log()
        await self._on_look()

    async def _ask(self) -> list[Variant]:
        """What is served; asks again, since of several Tritons one may be leaving."""
        try:
            return await self._variants()
        except TritonUnavailableError:
            await asyncio.sleep(_SECOND_LOOK)  # until the channel has noticed
            return await self._variants()

    async def _variants(self) -> list[Variant]:
        index = await self._repository.index(self._within)
        loaded = [name for name, ready in index.items() if ready]
        self._manifests = await self._read_manifests(loaded)
        ours = [manifest for manifest in self._manifests.values() if manifest is not None]
        alive = await asyncio.gather(*(self._lives(manifest) for manifest in ours))
        variants = [Variant(*pair) for pair in zip(ours, alive, strict=True)]
        return variants + self._unloaded(index)

    async def _read_manifests(self, names: list[str]) -> dict[str, Manifest | None]:
        """The manifests of these models; each is read once while its model stays loaded."""
        new = [name for name in names if name not in self._manifests]
        read = await asyncio.gather(*(self._repository.manifest(n, self._within) for n in new))
        known = self._manifests | dict(zip(new, read, strict=True))
        return {name: known[name] for name in names}

    def _unloaded(self, index: dict[str, bool]) -> list[Variant]:
        """Variants that are still in the repository and were ready once."""
        return [
            Variant(known.manifest, ready=False)
            for known in self._catalogue.variants()
            if index.get(known.name) is False
        ]

    async def _lives(self, manifest: Manifest) -> bool:
        name = manifest.name
        try:
            if manifest.kind == "encoder":
                await self._encoder.probe(name, self._within, spans=manifest.head == "spans")
            else:
                await self._engine.probe(name, self._within)
        except ServiceError as error:
            logger.debug("%s: %s", name, error)
            return False
        return True

    def _log(self) -> None:
        ready = [each.name for each in self._catalogue.variants() if each.ready]
        logger.info("ready: %s", ", ".join(ready) or "nothing")
