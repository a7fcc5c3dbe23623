"""Answers questions with whatever kind of model serves the task."""

from services.inference.models.catalogue import QUESTION_ANSWERING, Catalogue
from services.inference.rows.encoder import Encoder
from services.inference.rows.engine import InferenceEngine
from services.inference.rows.recovery import Route
from services.inference.settings import InferenceSettings
from services.inference.tasks.question_answering.extractive import Extractor
from services.inference.tasks.question_answering.generative import GenerativeAnswerer
from services.inference.tasks.question_answering.question import Answers, Question


class Answerer:
    """Picks a model, and answers as its kind does."""

    def __init__(
        self,
        engine: InferenceEngine,
        encoder: Encoder,
        catalogue: Catalogue,
        settings: InferenceSettings,
    ) -> None:
        self._catalogue = catalogue
        self._extractor = Extractor(encoder)
        self._generative = GenerativeAnswerer(engine, settings)

    async def answer(self, question: Question) -> Answers:
        """The answers, best first; raises a ServiceError."""
        manifest = self._catalogue.pick(QUESTION_ANSWERING, question.model).manifest
        route = Route(self._catalogue, manifest.name, question.model)
        if manifest.kind == "encoder":
            return await self._extractor.answer(question, route)
        return await self._generative.answer(question, manifest, route)
