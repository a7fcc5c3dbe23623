"""Client of Seqway, a self-hosted service that translates, summarizes, classifies and answers.

>>> from seqway import Client
>>> with Client("127.0.0.1:50051") as client:
...     print(client.translate("A text editor.", source="en", target="fr").text)
...     for text in client.stream_translate("A text editor.", source="en", target="fr").text():
...         print(text, end="", flush=True)
...     print(client.summarize("A long text ...", length="short").text)
...     print(client.classify("A text editor.", top_k=3).label)
...     print(client.ask("What edits text?", context="An editor edits text.").text)
"""

from seqway.aio.client import AsyncClient
from seqway.aio.job_streams import AsyncJobStream
from seqway.aio.jobs import AsyncJobs
from seqway.aio.streams import AsyncStream, AsyncSummaryStream, AsyncTranslationStream
from seqway.arguments import (
    AskArguments,
    ClassifyArguments,
    JobArguments,
    SummarizeArguments,
    TranslateArguments,
)
from seqway.errors import (
    AuthenticationError,
    CancelledError,
    DeadlineError,
    FieldViolation,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    SeqwayError,
    ServerError,
    UnavailableError,
)
from seqway.events import (
    StreamEvent,
    StreamSummary,
    SummarizeEvent,
    SummaryDelta,
    SummaryEnd,
    SummaryProgress,
    TextDelta,
    TextEnd,
)
from seqway.glossary import GlossaryEntry, read_glossary
from seqway.options import GenerationOptions, Sampling
from seqway.results import (
    Answer,
    AskResult,
    Classification,
    ClassifyResult,
    DetectedLanguage,
    DetectResult,
    DroppedSpan,
    FinishReason,
    GlossaryMatch,
    Hypothesis,
    Job,
    JobCounts,
    JobPriority,
    JobState,
    LabelScore,
    LanguagePair,
    LanguageScore,
    LineError,
    LineResult,
    LineStatus,
    Model,
    Pivot,
    Segment,
    SummarizeResult,
    Summary,
    SummaryPart,
    Timings,
    TokenCounts,
    TokenLogProb,
    TranslateResult,
    Translation,
)
from seqway.sync.client import Client
from seqway.sync.job_streams import JobStream
from seqway.sync.jobs import Jobs
from seqway.sync.streams import Stream, SummaryStream, TranslationStream
from seqway.transport.security import TlsFiles

__all__ = [
    "Answer",
    "AskArguments",
    "AskResult",
    "AsyncClient",
    "AsyncJobStream",
    "AsyncJobs",
    "AsyncStream",
    "AsyncSummaryStream",
    "AsyncTranslationStream",
    "AuthenticationError",
    "CancelledError",
    "Classification",
    "ClassifyArguments",
    "ClassifyResult",
    "Client",
    "DeadlineError",
    "DetectResult",
    "DetectedLanguage",
    "DroppedSpan",
    "FieldViolation",
    "FinishReason",
    "GenerationOptions",
    "GlossaryEntry",
    "GlossaryMatch",
    "Hypothesis",
    "InvalidRequestError",
    "Job",
    "JobArguments",
    "JobCounts",
    "JobPriority",
    "JobState",
    "JobStream",
    "Jobs",
    "LabelScore",
    "LanguagePair",
    "LanguageScore",
    "LineError",
    "LineResult",
    "LineStatus",
    "Model",
    "NotFoundError",
    "OverloadedError",
    "Pivot",
    "Sampling",
    "Segment",
    "SeqwayError",
    "ServerError",
    "Stream",
    "StreamEvent",
    "StreamSummary",
    "SummarizeArguments",
    "SummarizeEvent",
    "SummarizeResult",
    "Summary",
    "SummaryDelta",
    "SummaryEnd",
    "SummaryPart",
    "SummaryProgress",
    "SummaryStream",
    "TextDelta",
    "TextEnd",
    "Timings",
    "TlsFiles",
    "TokenCounts",
    "TokenLogProb",
    "TranslateArguments",
    "TranslateResult",
    "Translation",
    "TranslationStream",
    "UnavailableError",
    "read_glossary",
]
