"""Logging: events with facts, as JSON or for a console. Nothing secret is logged, at any level.

What the libraries log below WARNING is silenced for good, whatever LOG_LEVEL says: SQL with its parameters, HTTP bodies,
authorization codes in URLs, the headers and messages of WebSockets. LOG_LEVEL is that of our own rooms.
"""

import logging
import sys
from collections.abc import MutableMapping
from traceback import extract_tb
from typing import Any, Final

import structlog

_OURS: Final = ("service", "schema", "__main__")

# Each of these sets levels of its own somewhere, and prints parameters, bodies or URLs below WARNING.
_TALKATIVE: Final = (
    "aiosqlite", "asyncio", "asyncpg", "authlib", "aiosmtplib", "boto3", "botocore", "httpcore", "httpcore2", "httpx",
    "httpx2", "mail.log", "s3transfer", "strawberry", "tortoise", "tortoise.db_client", "urllib3", "uvicorn.access",
    "websockets",
)  # fmt: skip


def configure(level: str, log_format: str) -> None:
    """Sets up logging for the process, ours and the libraries', to standard error."""
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
    # The console's usual traceback shows local variables, among them cookies and tokens (H155).
    plain = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = plain if console else structlog.processors.JSONRenderer()
    finish: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _frames, renderer]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=finish))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    wanted = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(wanted, logging.WARNING))
    for name in _OURS:
        logging.getLogger(name).setLevel(wanted)
    _tame_uvicorn(wanted)
    quieten()


def _tame_uvicorn(wanted: int) -> None:
    """Starting and stopping are worth a line; every header and message of a WebSocket, which it gives at DEBUG, is not."""
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(max(wanted, logging.INFO))
    logging.getLogger("uvicorn.error").addFilter(_is_harmless)


def quieten() -> None:
    """Silences the libraries that would print secrets; again after a library set its own level."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_harmless(record: logging.LogRecord) -> bool:
    """A failed start reaches uvicorn as one text with all parameters, and a WebSocket's line has its query string (H155):
    `serving.failed` and our own line for each connection tell them without.
    """
    text = str(record.msg)
    return not (text.startswith("Traceback") or '"WebSocket %s"' in text)


def _frames(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its type and where it came from; its text may repeat parameters, so it is left out."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else None
    if error is not None:
        event["exception"] = type(error).__qualname__
        event["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]
    return event


def _one_line(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Control characters of whatever people and providers sent are escaped: one event is one line (H157)."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[name] = value.encode("unicode_escape").decode("ascii")
    return event
