# Generated from ../aio/tasks.py by `make client`.

"""The tasks: one method per call."""

from collections.abc import Sequence

from seqway.glossary import Glossary
from seqway.options import GenerationOptions, SummaryLength
from seqway.results import (
    AskResult,
    ClassifyResult,
    DetectResult,
    SummarizeResult,
    TranslateResult,
)
from seqway.sync.calls import Calls
from seqway.sync.streams import SummaryStream, TranslationStream
from seqway.tasks.classification import CLASSIFY, classify_request
from seqway.tasks.question_answering import ASK, ask_request
from seqway.tasks.summarization import STREAM_SUMMARIZE, SUMMARIZE, summarize_request
from seqway.tasks.translation import (
    DETECT,
    STREAM_TRANSLATE,
    TRANSLATE,
    detect_request,
    translate_request,
)


class Tasks:
    """Translates, detects languages, summarizes, classifies and answers.

    Every method takes `timeout`, the seconds after which it raises `DeadlineError` (None is the
    client's), and all but `detect` take `model`, a model or one variant of it ("" leaves the choice
    to the server).  Those that generate text take `options`, and `max_new_tokens` as a short form
    of that option.
    """

    _calls: Calls

    def translate(
        self,
        text: str | Sequence[str],
        *,
        source: str,
        target: str,
        mime_type: str = "",
        do_not_translate: Sequence[str] = (),
        glossary: Glossary = (),
        forbid_pivot: bool = False,
        options: GenerationOptions | None = None,
        max_new_tokens: int | None = None,
        model: str = "",
        timeout: float | None = None,
    ) -> TranslateResult:
        """Translates one text or several and waits for all of them.

        Args:
            text: One text, or several.
            source: BCP-47 code of the language of the text; "auto" has it detected.
            target: BCP-47 code of the language to translate to.
            mime_type: "text/plain", "text/html" or "application/xml", whose tags are kept.
                Parameters such as "; charset=utf-8" are allowed, a charset other than UTF-8 is not.
            do_not_translate: Phrases that stay as they are.
            glossary: Terms and their translations.
            forbid_pivot: Fail where no model translates the pair, instead of translating through a
                third language with two.
            options: How to generate.
            max_new_tokens: The most tokens of one sentence; 0 is the model's own limit.
            model: A model, or one variant of it; by default the server's choice.
            timeout: Seconds; by default the client's.

        Raises:
            SeqwayError: A subclass says why the call failed.

        """
        request = translate_request(
            TRANSLATE.request,
            text,
            source=source,
            target=target,
            mime_type=mime_type,
            do_not_translate=do_not_translate,
            glossary=glossary,
            forbid_pivot=forbid_pivot,
            options=options,
            max_new_tokens=max_new_tokens,
            model=model,
        )
        return self._calls.unary(TRANSLATE, request, timeout)

    def stream_translate(
        self,
        text: str | Sequence[str],
        *,
        source: str,
        target: str,
        mime_type: str = "",
        do_not_translate: Sequence[str] = (),
        glossary: Glossary = (),
        forbid_pivot: bool = False,
        options: GenerationOptions | None = None,
        max_new_tokens: int | None = None,
        model: str = "",
        timeout: float | None = None,
    ) -> TranslationStream:
        """Starts a translation whose text comes as it is generated; arguments as in `translate`.

        A failure is raised while the stream is iterated.
        """
        request = translate_request(
            STREAM_TRANSLATE.request,
            text,
            source=source,
            target=target,
            mime_type=mime_type,
            do_not_translate=do_not_translate,
            glossary=glossary,
            forbid_pivot=forbid_pivot,
            options=options,
            max_new_tokens=max_new_tokens,
            model=model,
        )
        return self._calls.stream(STREAM_TRANSLATE, request, timeout)

    def detect(
        self,
        text: str | Sequence[str],
        *,
        languages: Sequence[str] = (),
        mime_type: str = "",
        timeout: float | None = None,
    ) -> DetectResult:
        """Tells the language of one text or several.

        Args:
            text: One text, or several.
            languages: BCP-47 codes of those that it may be in; by default those that the server
                translates from.
            mime_type: As in `translate`.
            timeout: Seconds; by default the client's.

        Raises:
            SeqwayError: A subclass says why the call failed.

        """
        request = detect_request(text, languages=languages, mime_type=mime_type)
        return self._calls.unary(DETECT, request, timeout)

    def summarize(
        self,
        text: str | Sequence[str],
        *,
        language: str = "",
        length: SummaryLength | None = None,
        options: GenerationOptions | None = None,
        max_new_tokens: int | None = None,
        model: str = "",
        timeout: float | None = None,
    ) -> SummarizeResult:
        """Summarizes one text or several and waits for all of them.

        Args:
            text: One text, or several.
            language: BCP-47 code of the language of the text; English by default.
            length: How long the summary is to be; by default the model decides.
            options: How to generate.
            max_new_tokens: The most tokens of a summary; 0 is the model's own limit.
            model: A model, or one variant of it; by default the server's choice.
            timeout: Seconds; by default the client's.

        Raises:
            SeqwayError: A subclass says why the call failed.

        """
        request = summarize_request(
            SUMMARIZE.request,
            text,
            language=language,
            length=length,
            options=options,
            max_new_tokens=max_new_tokens,
            model=model,
        )
        return self._calls.unary(SUMMARIZE, request, timeout)

    def stream_summarize(
        self,
        text: str | Sequence[str],
        *,
        language: str = "",
        length: SummaryLength | None = None,
        options: GenerationOptions | None = None,
        max_new_tokens: int | None = None,
        model: str = "",
        timeout: float | None = None,
    ) -> SummaryStream:
        """Starts a summary whose text comes as it is generated; arguments as in `summarize`.

        A failure is raised while the stream is iterated.
        """
        request = summarize_request(
            STREAM_SUMMARIZE.request,
            text,
            language=language,
            length=length,
            options=options,
            max_new_tokens=max_new_tokens,
            model=model,
        )
        return self._calls.stream(STREAM_SUMMARIZE, request, timeout)

    def classify(
        self,
        text: str | Sequence[str],
        *,
        top_k: int = 0,
        threshold: float | None = None,
        multi_label: bool | None = None,
        model: str = "",
        timeout: float | None = None,
    ) -> ClassifyResult:
        """Classifies one text or several.

        Args:
            text: One text, or several.
            top_k: The most labels of each text; 0 is all.
            threshold: Only labels with at least this score, from 0 to 1; by default 0.5 for a
                multi-label model and no limit for others.
            multi_label: Whether each label is scored by itself; by default as the checkpoint says.
            model: A model, or one variant of it; by default the server's choice.
            timeout: Seconds; by default the client's.

        Raises:
            SeqwayError: A subclass says why the call failed.

        """
        request = classify_request(
            text, top_k=top_k, threshold=threshold, multi_label=multi_label, model=model
        )
        return self._calls.unary(CLASSIFY, request, timeout)

    def ask(
        self,
        question: str,
        *,
        context: str,
        top_k: int = 0,
        max_answer_tokens: int = 0,
        options: GenerationOptions | None = None,
        max_new_tokens: int | None = None,
        model: str = "",
        timeout: float | None = None,
    ) -> AskResult:
        """Answers a question about a text.

        Args:
            question: The question.
            context: The text that holds the answer.
            top_k: The most answers; 0 is 1.
            max_answer_tokens: The most tokens of an extracted answer; 0 is 30.
            options: How to generate, with a model that writes its answers.
            max_new_tokens: The most tokens of a written answer; 0 is the model's own limit.
            model: A model, or one variant of it; by default the server's choice.
            timeout: Seconds; by default the client's.

        Raises:
            SeqwayError: A subclass says why the call failed.

        """
        request = ask_request(
            question,
            context=context,
            top_k=top_k,
            max_answer_tokens=max_answer_tokens,
            options=options,
            max_new_tokens=max_new_tokens,
            model=model,
        )
        return self._calls.unary(ASK, request, timeout)
