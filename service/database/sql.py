"""SQL: running statements, and building blocks for them. Statements are written for PostgreSQL and run on both engines."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count, islice
from typing import Any

import orjson

from service.database.connection import connection, is_postgres

# ------------------------------------------------------------------------------------------------------------ building


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with $1 placeholders, and its values."""

    sql: str
    params: tuple[Any, ...]


def insert(table: str, *rows: dict[str, Any]) -> Statement:
    """The statement that inserts rows with the same columns. Dictionaries and lists become JSON."""
    marks = (f"${number}" for number in count(1))
    values = ", ".join(f"({', '.join(islice(marks, len(row)))})" for row in rows)
    sql = f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES {values}"  # noqa: S608 -- our own names, and placeholders
    return Statement(sql, tuple(_encoded(value) for row in rows for value in row.values()))


def _encoded(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else value


class Params:
    """The values of a statement, in the order of their placeholders."""

    def __init__(self, *values: Any) -> None:
        self.values = list(values)

    def add(self, value: Any) -> str:
        """Adds a value and returns its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"

    def add_all(self, values: Iterable[Any]) -> str:
        """Adds values and returns their placeholders, separated by commas."""
        return ", ".join(self.add(value) for value in values)


# ------------------------------------------------------------------------------------------------------------- running


async def execute_batch(*statements: Statement) -> list[dict[str, Any]]:
    """Runs independent statements in the caller's transaction, and returns the rows of the last.

    PostgreSQL runs them as one statement in one round trip, and checks constraints at its end. No statement sees the writes
    of another. SQLite runs them in order.
    """
    *first, last = statements
    if is_postgres() and first:
        return await _select_with(first, last)
    for statement in first:
        await _execute(statement.sql, statement.params)
    return await select(last.sql, *last.params)


async def _select_with(first: list[Statement], last: Statement) -> list[dict[str, Any]]:
    """Joins statements by WITH, which runs every write. A statement that only reads must be the last."""
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
    """Runs independent statements that return one row each, with the same columns; returns the rows in order."""
    if len(statements) <= 1 or not is_postgres():
        return [(await select(statement.sql, *statement.params))[0] for statement in statements]
    rows = " UNION ALL ".join(f"SELECT {number} AS number, * FROM w{number}" for number in range(len(statements)))  # noqa: S608 -- our own names
    return await _select_with(list(statements), Statement(f"{rows} ORDER BY number", ()))


_PLACEHOLDER = re.compile(r"\$(\d+)")
_LOCK_CLAUSE = re.compile(r"\bFOR (?:NO KEY UPDATE|UPDATE|SHARE)(?: OF \w+)?(?: SKIP LOCKED)?")


@lru_cache
def _for_sqlite(sql: str) -> str:
    """Converts PostgreSQL's SQL for SQLite: other placeholders, and no row locks, because SQLite has one writer at a time."""
    return _PLACEHOLDER.sub(r"?\1", _LOCK_CLAUSE.sub("", sql))


async def select(sql: str, *params: Any) -> list[dict[str, Any]]:
    """The rows of a statement with $1 placeholders. Columns named `..._at` are instants on both engines."""
    client = connection()
    if client.capabilities.dialect == "postgres":
        return await client.execute_query_dict(sql, list(params))
    return _with_instants(await client.execute_query_dict(_for_sqlite(sql), _in_utc(params)))


async def execute(sql: str, *params: Any) -> int:
    """The number of rows that a statement wrote. It decides a race of guarded UPDATEs."""
    if is_postgres():
        # Tortoise misreads the count of "INSERT 0 1" from asyncpg, so this counts RETURNING rows.
        sql = f"{sql} RETURNING 1 AS written" if sql.lstrip().upper().startswith("INSERT") else sql
        return len(await select(sql, *params)) if "RETURNING" in sql else (await _execute(sql, params))
    return await _execute(sql, params)


async def _execute(sql: str, params: Sequence[Any]) -> int:
    client = connection()
    if client.capabilities.dialect == "postgres":
        return (await client.execute_query(sql, list(params)))[0]
    return (await client.execute_query(_for_sqlite(sql), _in_utc(params)))[0]


def _in_utc(params: Sequence[Any]) -> list[Any]:
    """SQLite stores instants as text, which sorts correctly only in UTC."""
    return [value.astimezone(UTC) if isinstance(value, datetime) else value for value in params]


def _with_instants(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    instants = [name for name in rows[0] if name.endswith(("_at", "_until"))] if rows else []
    for row in rows:
        row.update((name, datetime.fromisoformat(row[name])) for name in instants if isinstance(row[name], str))
    return rows


def json_list(value: str | list[str]) -> tuple[str, ...]:
    """The list of a JSON column, which is text on both engines unless the driver decoded it."""
    return tuple(orjson.loads(value) if isinstance(value, str) else value)


def json_object(value: str | dict[str, str] | None) -> dict[str, str]:
    """The facts of a JSON column, which is text unless the driver decoded it. Other values than texts are left out."""
    decoded = orjson.loads(value) if isinstance(value, str) else value
    facts = decoded.items() if isinstance(decoded, dict) else ()
    return {name: fact for name, fact in facts if isinstance(fact, str)}


async def select_pages(keys: Sequence[str], rest: str, params: Params) -> list[list[dict[str, Any]]]:
    """Selects several pages in one statement; returns the rows of each.

    Each of `keys` selects the keys of one page's rows. `rest` is the statement around them: its `{keys}` stands for the
    table of all keys, with the number of their `page`, and it orders by `page` first.
    """
    numbered = (f"SELECT {number} AS page, p{number}.* FROM ({sql}) p{number}" for number, sql in enumerate(keys))  # noqa: S608 -- our own statements
    statement = rest.replace("{keys}", f"({' UNION ALL '.join(numbered)})")
    pages: list[list[dict[str, Any]]] = [[] for _ in keys]
    for row in await select(statement, *params.values):
        pages[row["page"]].append(row)
    return pages


async def empty_write_ahead_log() -> None:
    """Empties SQLite's log, which still contains pages from before an erasure. PostgreSQL manages its own log."""
    if not is_postgres():
        await select("PRAGMA wal_checkpoint(TRUNCATE)")
