"""How long a statement may take, on either engine.

The process has a usual bound, set when it connects; commands have none. A part of the process that needs longer says so
for its own context. A statement that reaches its bound is cancelled in the database.
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
    """Raised instead of the result of a statement that was cancelled at its bound. Its transaction is rolled back."""

    def __init__(self) -> None:
        super().__init__(str(TOOK_TOO_LONG))


class _Usual:
    """The bound of this process in seconds; None is no bound."""

    seconds: float | None = None


_own: ContextVar[tuple[float | None] | None] = ContextVar("statement_seconds", default=None)


def set_usual(seconds: float | None) -> None:
    """Sets the bound of statements that no context of their own bounds otherwise."""
    _Usual.seconds = seconds


def statement_seconds() -> float | None:
    """Returns the bound of a statement that begins now."""
    own = _own.get()
    return _Usual.seconds if own is None else own[0]


@contextmanager
def statements_within(seconds: float | None) -> Iterator[None]:
    """Gives the statements of this context another bound than the process's own; None removes it."""
    token = _own.set((seconds,))
    try:
        yield
    finally:
        _own.reset(token)


def fresh_context(seconds: float | None) -> Context:
    """Returns an empty context for a task of its own, in which statements have this bound."""
    context = Context()
    context.run(_own.set, (seconds,))
    return context
