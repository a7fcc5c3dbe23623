"""A twin of Triton for tests: a real gRPC server with pretended models behind it.

Tokens are counted as one for every four characters.  What the models do is in `models` and
`encoders`; which faults it can show is in `server`.
"""

from tests.services.twin.manifests import (
    QUALITY_MODEL,
    classifier,
    extractor,
    generative_answerer,
    manifest_of,
    many_to_many,
    summarizer,
)
from tests.services.twin.server import Twin

__all__ = [
    "QUALITY_MODEL",
    "Twin",
    "classifier",
    "extractor",
    "generative_answerer",
    "manifest_of",
    "many_to_many",
    "summarizer",
]
