"""Inference as the gateway and the workers see it, wired."""

from collections.abc import Awaitable, Callable

from services.inference.models.catalogue import Catalogue
from services.inference.models.choice import VariantChoice
from services.inference.settings import InferenceSettings
from services.inference.tasks.classifier import Classifier
from services.inference.tasks.language_detector import LanguageDetector
from services.inference.tasks.question_answering.answerer import Answerer
from services.inference.tasks.summarization.summarizer import Summarizer
from services.inference.tasks.translation.pivot_translator import PivotTranslator
from services.inference.triton.engine import TritonEngine
from services.inference.triton.watch import Watch


class InferenceBackend:
    """The models of Triton and the tasks that they do; to be built inside a running event loop."""

    def __init__(self, settings: InferenceSettings) -> None:
        engine = self._engine = TritonEngine(settings)
        catalogue = self.catalogue = Catalogue(
            VariantChoice(settings.preferred_precisions, settings.max_quality_loss)
        )
        self._settings = settings
        self.detector = LanguageDetector(catalogue)
        self.translator = PivotTranslator(engine, catalogue, self.detector, settings)
        self.summarizer = Summarizer(engine, catalogue, settings)
        self.classifier = Classifier(engine.encoder, catalogue)
        self.answerer = Answerer(engine, engine.encoder, catalogue, settings)

    def watch(self, on_look: Callable[[], Awaitable[None]]) -> Watch:
        """What keeps the catalogue up to date; `on_look` is awaited after each look."""
        return Watch(self._engine, self.catalogue, self._settings, on_look)

    async def close(self) -> None:
        """Closes the connection to Triton."""
        await self._engine.close()
