"""The input of a job: from bytes to checked items, with memory that does not grow."""

from services.jobs.intake.form import Compression, Format, InputForm, IntakeLimits
from services.jobs.intake.reader import read_items
from services.jobs.intake.uris import open_uri

__all__ = ["Compression", "Format", "InputForm", "IntakeLimits", "open_uri", "read_items"]
