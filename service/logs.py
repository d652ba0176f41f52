"""Logging: events with facts, as JSON or for a console, without secrets at any level.

Libraries log only WARNING and above, because below they print SQL parameters, HTTP bodies, authorization codes in URLs, and the
headers and messages of WebSockets. LOG_LEVEL applies to our own modules.
"""

import logging
import sys
from collections.abc import MutableMapping
from traceback import extract_tb
from typing import Any, Final

import structlog

_OURS: Final = ("service", "schema", "__main__")

# Each of these sets its own levels, and prints parameters, bodies or URLs below WARNING.
_TALKATIVE: Final = (
    "aiosqlite", "asyncio", "asyncpg", "authlib", "aiosmtplib", "boto3", "botocore", "httpcore", "httpcore2", "httpx",
    "httpx2", "mail.log", "s3transfer", "strawberry", "tortoise", "tortoise.db_client", "urllib3", "uvicorn.access",
    "websockets",
)  # fmt: skip


def configure(level: str, log_format: str) -> None:
    """Configures the process's logging, ours and the libraries', to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _one_line,
    ]
    console = log_format == "console"
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    # The default traceback of the console contains local variables with cookies and tokens (H155).
    plain = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = plain if console else structlog.processors.JSONRenderer()
    finish: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _frames, renderer]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=finish))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    lowest = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(lowest, logging.WARNING))
    for name in _OURS:
        logging.getLogger(name).setLevel(lowest)
    _tame_uvicorn(lowest)
    quieten()


def _tame_uvicorn(lowest: int) -> None:
    """Keeps uvicorn's lines about start and stop, but not the headers and messages of WebSockets at DEBUG."""
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(max(lowest, logging.INFO))
    logging.getLogger("uvicorn.error").addFilter(_is_harmless)


def quieten() -> None:
    """Silences libraries that would print secrets. Call it again after a library set its own level."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_harmless(record: logging.LogRecord) -> bool:
    """Drops uvicorn's texts of a failed start, with all parameters, and of WebSockets, with their query string (H155):
    `serving.failed` and our own line for each connection tell them without.
    """
    text = str(record.msg)
    return not (text.startswith("Traceback") or '"WebSocket %s"' in text)


def _frames(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its type and its frames. Omits its text, which can contain parameters."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else None
    if error is not None:
        event["exception"] = type(error).__qualname__
        event["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]
    return event


def _one_line(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escapes control characters from people and providers, so that an event is one line (H157)."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[name] = value.encode("unicode_escape").decode("ascii")
    return event
