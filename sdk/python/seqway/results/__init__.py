"""What the calls return: immutable, without protobuf types."""

from seqway.results.classification import Classification, ClassifyResult, LabelScore
from seqway.results.detection import DetectedLanguage, DetectResult, LanguageScore
from seqway.results.generation import (
    FinishReason,
    Hypothesis,
    Timings,
    TokenCounts,
    TokenLogProb,
)
from seqway.results.jobs import (
    Job,
    JobCounts,
    JobPriority,
    JobState,
    LineError,
    LineResult,
    LineStatus,
)
from seqway.results.models import LanguagePair, Model
from seqway.results.question_answering import Answer, AskResult
from seqway.results.summarization import DroppedSpan, SummarizeResult, Summary, SummaryPart
from seqway.results.translation import (
    GlossaryMatch,
    Pivot,
    Segment,
    TranslateResult,
    Translation,
)

__all__ = [
    "Answer",
    "AskResult",
    "Classification",
    "ClassifyResult",
    "DetectResult",
    "DetectedLanguage",
    "DroppedSpan",
    "FinishReason",
    "GlossaryMatch",
    "Hypothesis",
    "Job",
    "JobCounts",
    "JobPriority",
    "JobState",
    "LabelScore",
    "LanguagePair",
    "LanguageScore",
    "LineError",
    "LineResult",
    "LineStatus",
    "Model",
    "Pivot",
    "Segment",
    "SummarizeResult",
    "Summary",
    "SummaryPart",
    "Timings",
    "TokenCounts",
    "TokenLogProb",
    "TranslateResult",
    "Translation",
]
