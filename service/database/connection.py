"""The connection of the process to its database, and transactions."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tortoise import Tortoise, connections
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.backends.base.executor import EXECUTOR_CACHE
from tortoise.exceptions import DBConnectionError
from tortoise.transactions import in_transaction

from service.database.deadlines import set_default_seconds
from service.database.postgres import Connection

APP = "guestlist"
_POOL = {"minsize": "1", "maxsize": "10"}
_SERVER_TIMEOUT = "120s"  # twice the limit of the worker
# secure_delete overwrites deleted rows in the file, so that it does not contain erased addresses.
_PRAGMAS = {"busy_timeout": "10000", "synchronous": "NORMAL", "secure_delete": "ON"}


class DatabaseUnavailable(Exception):
    """Raised when the database does not respond. Its text is for the operator and contains no password."""


def config_for(url: str) -> dict[str, Any]:
    """Tortoise's configuration for a DATABASE_URL. The query of the URL overrides our defaults."""
    scheme, netloc, path, query, fragment = urlsplit(url)
    defaults = _PRAGMAS if scheme == "sqlite" else _POOL
    query = urlencode(defaults | dict(parse_qsl(query)))
    if scheme == "sqlite":
        connection = expand_db_url(f"sqlite://{netloc}{path}?{query}") | {"engine": "service.database.sqlite"}
    else:
        connection = expand_db_url(urlunsplit(("postgres", netloc, path, query, fragment)))
        connection["engine"] = "service.database.postgres"
        connection["credentials"]["connection_class"] = Connection
    app = {"models": ["service.models"], "migrations": "migrations", "default_connection": "default"}
    return {"connections": {"default": connection}, "apps": {APP: app}, "use_tz": True, "timezone": "UTC"}


def pool_size(url: str) -> int:
    """The maximum number of connections of a process."""
    return 1 if url.startswith("sqlite:") else int(config_for(url)["connections"]["default"]["credentials"]["maxsize"])


async def connect(url: str, *, statement_seconds: float | None = None) -> None:
    """Opens the process's connection (SQLite) or pool (PostgreSQL), and pings it because pools are lazy.

    A statement is cancelled after `statement_seconds`, or after the limit of its context (`service.database.deadlines`).
    Raises DatabaseUnavailable.
    """
    set_default_seconds(statement_seconds)
    if url.startswith("sqlite:"):
        _open_file(sqlite_path(url))
    # Tortoise caches the INSERTs of the first engine under the connection's name.
    EXECUTOR_CACHE.clear()
    config = config_for(url)
    if statement_seconds is not None and not url.startswith("sqlite:"):
        # The server's own limit, for statements of a process that has died.
        config["connections"]["default"]["credentials"]["server_settings"] = {"statement_timeout": _SERVER_TIMEOUT}
    await Tortoise.init(config=config, _enable_global_fallback=True)
    try:
        await connection().execute_query("SELECT 1 AS one")
    except Exception as error:
        await disconnect()
        # The server's errors contain no password. A driver's error can contain the whole URL.
        is_harmless = isinstance(error, DBConnectionError) or getattr(error, "sqlstate", None)
        why = str(error) if is_harmless else type(error).__name__
        raise DatabaseUnavailable(f"The database does not answer: {why}.") from error


def _open_file(path: Path) -> None:
    """Reports SQLite's error for a file that cannot be opened. The driver's thread would add its traceback."""
    try:
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        raise DatabaseUnavailable(f"The database {path} cannot be used: {error}.") from error


async def disconnect() -> None:
    await Tortoise.close_connections()


def connection() -> BaseDBAsyncClient:
    """The current connection: inside `transaction()`, that of the transaction."""
    client: BaseDBAsyncClient = connections.get("default")
    return client


def is_postgres() -> bool:
    return connection().capabilities.dialect == "postgres"


@asynccontextmanager
async def transaction() -> AsyncIterator[None]:
    """A transaction. Inside another one it is a savepoint, so that a failed INSERT does not abort the outer one."""
    async with in_transaction():
        yield


def sqlite_path(url: str) -> Path:
    return Path(urlsplit(url)._replace(query="").geturl().removeprefix("sqlite://"))
