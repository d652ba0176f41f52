"""The database: connecting, transactions, SQL for the hot paths, and migrations that are safe to run from anywhere."""

import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson
from tortoise import Tortoise, connections
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.backends.base.executor import EXECUTOR_CACHE
from tortoise.exceptions import DBConnectionError
from tortoise.migrations import operations
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.loader import MigrationLoader
from tortoise.migrations.recorder import MigrationRecorder
from tortoise.migrations.schema_editor.base import BaseSchemaEditor
from tortoise.migrations.schema_generator.state import State
from tortoise.transactions import in_transaction

from service.database.deadlines import set_usual, statements_within
from service.database.postgres import Connection

APP = "guestlist"
_MIGRATION_LOCK = 7_165_739_812  # any number that nobody else locks on the same PostgreSQL database
_POOL = {"minsize": "1", "maxsize": "10"}
_SERVER_BOUND = "120s"  # twice what the worker may take
# What was deleted is overwritten in the file, however SQLite was built: an erased address shall not be found in it.
_PRAGMAS = {"busy_timeout": "10000", "synchronous": "NORMAL", "secure_delete": "ON"}


class DatabaseUnavailable(Exception):
    """Raised when the database does not answer; its text is for the operator and names no password."""


def config_for(url: str) -> dict[str, Any]:
    """Tortoise's configuration for a DATABASE_URL; what the URL's own query says wins over our defaults."""
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
    """Returns how many connections a process has at most."""
    return 1 if url.startswith("sqlite:") else int(config_for(url)["connections"]["default"]["credentials"]["maxsize"])


async def connect(url: str, *, statement_seconds: float | None = None) -> None:
    """Opens the process's one connection (SQLite) or pool (PostgreSQL) and pings it, because pools are lazy.

    A statement is cancelled after `statement_seconds`, or after what its context says (`service.database.deadlines`). Raises
    DatabaseUnavailable.
    """
    set_usual(statement_seconds)
    if url.startswith("sqlite:"):
        _open_file(sqlite_path(url))
    # Tortoise keeps the INSERTs of the engine that it met first under the connection's name.
    EXECUTOR_CACHE.clear()
    config = config_for(url)
    if statement_seconds is not None and not url.startswith("sqlite:"):
        # The server's own bound, for statements of a process that has died meanwhile.
        config["connections"]["default"]["credentials"]["server_settings"] = {"statement_timeout": _SERVER_BOUND}
    await Tortoise.init(config=config, _enable_global_fallback=True)
    try:
        await select("SELECT 1 AS one")
    except Exception as error:
        await disconnect()
        # What the server itself answers names no password; what a driver says may repeat the whole URL.
        is_harmless = isinstance(error, DBConnectionError) or getattr(error, "sqlstate", None)
        why = str(error) if is_harmless else type(error).__name__
        raise DatabaseUnavailable(f"The database does not answer: {why}.") from error


def _open_file(path: Path) -> None:
    """SQLite's own words on a file that cannot be opened; the driver's thread would add its traceback to them."""
    try:
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        raise DatabaseUnavailable(f"The database {path} cannot be used: {error}.") from error


async def disconnect() -> None:
    await Tortoise.close_connections()


def connection() -> BaseDBAsyncClient:
    """The current connection: inside `transaction()` the transaction's own."""
    client: BaseDBAsyncClient = connections.get("default")
    return client


def is_postgres() -> bool:
    return connection().capabilities.dialect == "postgres"


@asynccontextmanager
async def transaction() -> AsyncIterator[None]:
    """All or nothing. Inside another one it is a savepoint, so that a refused INSERT does not poison the outer one."""
    async with in_transaction():
        yield


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with $1 placeholders and its values, still to be run."""

    sql: str
    params: tuple[Any, ...]


def insert(table: str, *rows: dict[str, Any]) -> Statement:
    """The statement that inserts rows of one shape; dictionaries and lists go in as JSON."""
    marks = (f"${number}" for number in count(1))
    values = ", ".join(f"({', '.join(islice(marks, len(row)))})" for row in rows)
    sql = f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES {values}"  # noqa: S608 -- our own names, and placeholders
    return Statement(sql, tuple(_plain(value) for row in rows for value in row.values()))


def _plain(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else value


async def execute_batch(*statements: Statement) -> list[dict[str, Any]]:
    """Runs statements of which none needs to see what another wrote, in the caller's transaction; the rows of the last.

    On PostgreSQL they are one statement and one round trip, whose constraints are checked at its end; on SQLite, which
    is no journey away, they run in their order.
    """
    *first, last = statements
    if is_postgres() and first:
        return await _select_with(first, last)
    for statement in first:
        await _execute(statement.sql, statement.params)
    return await select(last.sql, *last.params)


async def _select_with(first: list[Statement], last: Statement) -> list[dict[str, Any]]:
    """WITH runs whatever writes, read or not; what only reads must be the last."""
    values: list[Any] = []
    parts = []
    for statement in (*first, last):
        parts.append(_renumbered(statement.sql, len(values)))
        values += statement.params
    named = ", ".join(f"w{number} AS ({part})" for number, part in enumerate(parts[:-1]))
    return await select(f"WITH {named} {parts[-1]}", *values)


@lru_cache
def _renumbered(sql: str, after: int) -> str:
    return _PLACEHOLDER.sub(lambda mark: f"${int(mark[1]) + after}", sql)


async def select_each(*statements: Statement) -> list[dict[str, Any]]:
    """Runs statements that return one row each, of one shape, and none sees what another wrote; their rows in order."""
    if len(statements) <= 1 or not is_postgres():
        return [(await select(statement.sql, *statement.params))[0] for statement in statements]
    rows = " UNION ALL ".join(f"SELECT {number} AS place, * FROM w{number}" for number in range(len(statements)))  # noqa: S608 -- our own names
    return await _select_with(list(statements), Statement(f"{rows} ORDER BY place", ()))


_PLACEHOLDER = re.compile(r"\$(\d+)")
_LOCK_CLAUSE = re.compile(r"\bFOR (?:NO KEY UPDATE|UPDATE|SHARE)(?: OF \w+)?(?: SKIP LOCKED)?")


@lru_cache
def _for_sqlite(sql: str) -> str:
    """PostgreSQL's SQL as SQLite reads it: other placeholders, and no row locks, for it has one writer at a time."""
    return _PLACEHOLDER.sub(r"?\1", _LOCK_CLAUSE.sub("", sql))


async def select(sql: str, *params: Any) -> list[dict[str, Any]]:
    """The rows of a statement written with $1 placeholders; columns named `..._at` are instants on both engines."""
    client = connection()
    if client.capabilities.dialect == "postgres":
        return await client.execute_query_dict(sql, list(params))
    return _with_instants(await client.execute_query_dict(_for_sqlite(sql), _in_utc(params)))


async def execute(sql: str, *params: Any) -> int:
    """How many rows a statement wrote: the count that decides who won a guarded UPDATE."""
    if is_postgres():
        # Tortoise reads the count of "INSERT 0 1" wrongly on asyncpg; a RETURNING row is counted instead.
        sql = f"{sql} RETURNING 1 AS written" if sql.lstrip().upper().startswith("INSERT") else sql
        return len(await select(sql, *params)) if "RETURNING" in sql else (await _execute(sql, params))
    return await _execute(sql, params)


async def empty_write_ahead_log() -> None:
    """SQLite's log still has the pages as they were before rows were erased; PostgreSQL looks after its own."""
    if not is_postgres():
        await select("PRAGMA wal_checkpoint(TRUNCATE)")


async def _execute(sql: str, params: Sequence[Any]) -> int:
    client = connection()
    if client.capabilities.dialect == "postgres":
        return (await client.execute_query(sql, list(params)))[0]
    return (await client.execute_query(_for_sqlite(sql), _in_utc(params)))[0]


def _in_utc(params: Sequence[Any]) -> list[Any]:
    """SQLite has instants as text, which is in order only when all are UTC."""
    return [value.astimezone(UTC) if isinstance(value, datetime) else value for value in params]


def _with_instants(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    instants = [name for name in rows[0] if name.endswith(("_at", "_until"))] if rows else []
    for row in rows:
        row.update((name, datetime.fromisoformat(row[name])) for name in instants if isinstance(row[name], str))
    return rows


def json_list(value: str | list[str]) -> tuple[str, ...]:
    """A JSON column's list as SQL gives it: text on both engines, unless the driver decoded it."""
    return tuple(orjson.loads(value) if isinstance(value, str) else value)


def json_object(value: str | dict[str, str] | None) -> dict[str, str]:
    """Decodes an object from a JSON column, which is text unless the driver has decoded it."""
    decoded: dict[str, str] = orjson.loads(value) if isinstance(value, str) else value or {}
    return decoded


class CreateModel(operations.CreateModel):
    """Creates the table with its CHECK constraints inside; Tortoise's own silently leaves a new model's out."""

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: BaseSchemaEditor | None = None
    ) -> None:
        del old_state
        if state_editor is None:
            return
        model = new_state.apps.get_model(f"{app_label}.{self.name}")
        constraints = model._meta.constraints or ()  # noqa: SLF001
        checks = [f'CONSTRAINT "{check.name}" CHECK ({check.check})' for check in constraints]
        state_editor._get_inner_statements = lambda: checks  # type: ignore[method-assign]  # noqa: SLF001
        try:
            await state_editor.create_model(model)
        finally:
            del state_editor._get_inner_statements  # noqa: SLF001


class StateOnly(operations.TortoiseOperation):
    """Tells Tortoise of changes that plain SQL makes, because Tortoise's own way would rebuild a table on SQLite."""

    def __init__(self, *changes: operations.TortoiseOperation) -> None:
        self._changes = changes

    def state_forward(self, app_label: str, state: State) -> None:
        for change in self._changes:
            change.state_forward(app_label, state)


class RemoveField(operations.RemoveField):
    """Drops a column with one plain statement; Tortoise's own rebuilds SQLite's table, and loses indexes and children."""

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: BaseSchemaEditor | None = None
    ) -> None:
        del new_state
        if state_editor is None:
            return
        table = old_state.apps.get_model(f"{app_label}.{self.model_name}")._meta.db_table  # noqa: SLF001
        await state_editor._run_sql(f'ALTER TABLE "{table}" DROP COLUMN "{self.name}"')  # noqa: SLF001


class _Recorder(MigrationRecorder):
    """Makes its table with one plain statement: SQLite's executescript would commit the transaction around it."""

    async def ensure_schema(self, schema_editor: BaseSchemaEditor) -> None:
        sql = schema_editor._get_model_sql_data(self.model).table_sql  # noqa: SLF001
        await self.connection.execute_query(sql.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1).rstrip(";"))


class _Executor(MigrationExecutor):
    def __init__(self, client: BaseDBAsyncClient, apps: dict[str, dict[str, Any]]) -> None:
        super().__init__(client, apps)
        self.recorder = _Recorder(client)
        self.loader = MigrationLoader(apps, self.recorder, load=False)


async def migrate(url: str) -> list[str]:
    """Brings the database up to date, all or nothing; returns the names of what was applied.

    Several may run it at once: PostgreSQL's advisory lock and SQLite's write lock let one at a time in, and the
    rest find nothing to do.
    """
    config = config_for(url)
    applied: list[str] = []
    with statements_within(None):
        async with in_transaction():
            if is_postgres():
                await select("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
            executor = _Executor(connection(), config["apps"])
            # Reading a table that is not there yet would abort PostgreSQL's transaction.
            await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))  # noqa: SLF001
            await executor.migrate(
                direction="forward",
                progress=lambda event, _app, name: applied.append(name) if event == "apply_done" else None,
            )
    return applied


async def apply_all(url: str) -> None:
    """Makes everything that the migrations make, where there is nothing yet; for looking at it."""
    executor = _Executor(connection(), config_for(url)["apps"])
    await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))  # noqa: SLF001
    await executor.migrate(direction="forward")


async def pending(url: str) -> list[str]:
    """Names of migrations that were not applied yet; changes nothing."""
    executor = _Executor(connection(), config_for(url)["apps"])
    return [step.migration.name for step in await executor.plan()]


def sqlite_path(url: str) -> Path:
    return Path(urlsplit(url)._replace(query="").geturl().removeprefix("sqlite://"))
