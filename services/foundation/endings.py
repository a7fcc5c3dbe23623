"""Errors that are no `Exception`, of which some are failures all the same."""

import asyncio

ENDINGS = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)
"""What ends a task, a generator or the process, and is never handled as a failure.

Libraries raise further errors that derive from BaseException alone, such as the PanicException of
Rust extensions.  Whoever must outlive every failure writes

    except ENDINGS:
        raise
    except BaseException: ...
"""
