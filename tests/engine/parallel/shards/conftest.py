"""What tests of divided models share with those of whole ones."""

from tests.engine.runtime.torch_sessions.conftest import one_thread

__all__ = ["one_thread"]
