"""Time limits of statements, on both engines.

The process sets a default limit when it connects; commands have none. A context can set another limit for its own statements. A
statement that reaches its limit is cancelled in the database.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Final

from service.languages import sentence

TOOK_TOO_LONG: Final = sentence(
    "TIMEOUT", "This took too long and was stopped. Ask for less at once, or try again later."
)


class TookTooLong(Exception):
    """Raised for a statement that was cancelled at its limit. Its transaction is rolled back."""

    def __init__(self) -> None:
        super().__init__(str(TOOK_TOO_LONG))


class _Default:
    """The limit of this process in seconds; None for no limit."""

    seconds: float | None = None


_context_limit: ContextVar[tuple[float | None] | None] = ContextVar("statement_seconds", default=None)


def set_default_seconds(seconds: float | None) -> None:
    """Sets the limit of statements without a limit of their context."""
    _Default.seconds = seconds


def statement_seconds() -> float | None:
    """Returns the limit of a statement that starts now."""
    limit = _context_limit.get()
    return _Default.seconds if limit is None else limit[0]


@contextmanager
def statements_within(seconds: float | None) -> Iterator[None]:
    """Sets the limit of the statements of this context; None removes it."""
    token = _context_limit.set((seconds,))
    try:
        yield
    finally:
        _context_limit.reset(token)


def fresh_context(seconds: float | None) -> Context:
    """Returns an empty context for a background task, with a limit for its statements."""
    context = Context()
    context.run(_context_limit.set, (seconds,))
    return context
