"""Settings of requests, read from `SEQWAY_*` environment variables."""

from pydantic import Field

from services.foundation.environment import EnvironmentSettings


class TextSettings(EnvironmentSettings):
    """How much text one call may carry."""

    max_contents: int = Field(default=1024, ge=1, description="the most texts in one call")
    max_text_characters: int = Field(
        default=1_000_000, ge=1, description="the most characters (code points) in one text"
    )
    max_call_characters: int = Field(
        default=4_000_000, ge=1, description="the most characters (code points) in one call"
    )
    max_terms: int = Field(
        default=1_000,
        ge=0,
        description="the most phrases not to translate, and the most glossary entries, in one call",
    )
    max_term_characters: int = Field(
        default=200,
        ge=1,
        description="the most characters (code points) in such a phrase, a term or its translation",
    )


class JobCallSettings(EnvironmentSettings):
    """The calls that last as long as a job or its upload."""

    max_job_streams: int = Field(
        default=384,
        ge=1,
        description="the most calls in flight that upload, watch or read jobs; two thirds of them"
        " for one tenant",
    )
    upload_idle: float = Field(
        default=30.0,
        gt=0,
        description="seconds without a byte after which the upload of a job is ended",
    )
