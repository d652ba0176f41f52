"""Logging: events with facts, as JSON or for a console. Nothing secret is logged, at any level.

What the libraries log at DEBUG is silenced for good, whatever LOG_LEVEL says: SQL with its parameters, HTTP bodies,
authorization codes in URLs.
"""

import logging
import sys
from collections.abc import MutableMapping
from traceback import extract_tb
from typing import Any, Final

import structlog

# Each of these prints parameters, bodies or URLs below WARNING.
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
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.error").addFilter(_is_no_traceback)
    quieten()


def quieten() -> None:
    """Silences the libraries that would print secrets; again after a library set its own level."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_no_traceback(record: logging.LogRecord) -> bool:
    """A failed start reaches uvicorn as one text with all parameters; `serving.failed` tells it without them (H155)."""
    return not str(record.msg).startswith("Traceback")


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
