"""Client of Seqway, a self-hosted translation service.

>>> from seqway import Client
>>> with Client("127.0.0.1:50051") as client:
...     print(client.translate("A text editor.", source="en", target="fr").text)
...     for text in client.stream_translate("A text editor.", source="en", target="fr").text():
...         print(text, end="", flush=True)
"""

from seqway.async_client import AsyncClient
from seqway.client import Client
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
from seqway.events import StreamEvent, StreamSummary, TextDelta, TextEnd
from seqway.results import (
    FinishReason,
    LanguagePair,
    Model,
    Segment,
    Timings,
    TokenCounts,
    TranslateResult,
    Translation,
)
from seqway.streams import AsyncTranslationStream, TranslationStream

__all__ = [
    "AsyncClient",
    "AsyncTranslationStream",
    "AuthenticationError",
    "CancelledError",
    "Client",
    "DeadlineError",
    "FieldViolation",
    "FinishReason",
    "InvalidRequestError",
    "LanguagePair",
    "Model",
    "NotFoundError",
    "OverloadedError",
    "Segment",
    "SeqwayError",
    "ServerError",
    "StreamEvent",
    "StreamSummary",
    "TextDelta",
    "TextEnd",
    "Timings",
    "TokenCounts",
    "TranslateResult",
    "Translation",
    "TranslationStream",
    "UnavailableError",
]
