"""Drift: differences between the database, the migrations and the models.

It applies the migrations to a database in memory, or to temporary tables in a transaction that is rolled back. It then compares
the definition of every column, constraint and index.
"""

import re
from contextlib import suppress
from typing import Final

from tortoise.context import TortoiseContext
from tortoise.migrations.autodetector import MigrationAutodetector

from service.database import apply_all, config_for, is_postgres, select, transaction

_IN_MEMORY: Final = "sqlite://:memory:"
# Exists only where the migration can create PostgreSQL's extension (migrations/0003).
_OPTIONAL: Final = "index ix_invitations_email_parts"

Description = dict[str, str]
"""Names, such as "column flows.message", with their definitions."""


async def model_drift(url: str) -> list[str]:
    """The differences between the models and the migrations. Needs no database."""
    config = config_for(url)
    async with TortoiseContext() as context:
        await context.init(config=config | {"connections": {"default": _IN_MEMORY}})
        if context.apps is None:
            raise RuntimeError("Tortoise found no models.")
        writers = await MigrationAutodetector(context.apps, config["apps"]).changes()
    return [operation.describe() for writer in writers for operation in writer.operations]


async def schema_drift(url: str) -> list[str]:
    """The differences between the database and the migrations, as sentences. Ignores additional indexes."""
    found = await description()
    expected = await (_describe_temporary_tables(url) if is_postgres() else _describe_in_memory())
    expected.pop(_OPTIONAL, None)
    missing = [f"The {name} is missing in the database." for name in sorted(expected.keys() - found.keys())]
    unknown = [
        f"The {name} is in the database, and no migration makes it."
        for name in sorted(found.keys() - expected.keys())
        if not name.startswith("index ")
    ]
    other = [
        f"The {name} is {found[name]} in the database; the migrations make it {expected[name]}."
        for name in sorted(expected.keys() & found.keys())
        if found[name] != expected[name]
    ]
    return missing + unknown + other


class _RollBack(Exception):
    """Raised to roll back the temporary tables."""


async def _describe_temporary_tables(url: str) -> Description:
    described: Description = {}
    with suppress(_RollBack):
        async with transaction():
            await select("SELECT set_config('search_path', 'pg_temp,' || current_setting('search_path'), true)")
            await apply_all(url)
            described = await _describe("pg_my_temp_schema()")
            raise _RollBack
    return described


async def _describe_in_memory() -> Description:
    async with TortoiseContext() as context:
        await context.init(config=config_for(_IN_MEMORY))
        try:
            await apply_all(_IN_MEMORY)
            return await description()
        finally:
            await context.close_connections()


async def description() -> Description:
    """Every column, constraint and index of the database, with its definition."""
    return await _describe("current_schema()::regnamespace") if is_postgres() else await _describe_sqlite()


async def _describe(schema: str) -> Description:
    described: Description = {}
    for statement in _POSTGRES:
        rows = await select(statement.replace("{schema}", schema))
        described |= {row["name"]: row["definition"] for row in rows}
    return described


# PostgreSQL names the schema in the definitions of indexes and of temporary sequences; NOT NULL belongs to its column.
_POSTGRES: Final = (
    r"""
    SELECT 'column ' || c.relname || '.' || a.attname AS name, format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
        || COALESCE(' DEFAULT ' || regexp_replace(pg_get_expr(d.adbin, d.adrelid), 'pg_temp[_0-9]*\.', ''), '')
        AS definition
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = {schema} AND c.relkind IN ('r', 'p')
    """,
    """
    SELECT 'constraint ' || c.relname || '.' || k.conname AS name, pg_get_constraintdef(k.oid) AS definition
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE c.relnamespace = {schema} AND k.contype <> 'n'
    """,
    r"""
    SELECT 'index ' || relname AS name, regexp_replace(pg_get_indexdef(oid), ' ON [^ ]+\.', ' ON ') AS definition
    FROM pg_class WHERE relnamespace = {schema} AND relkind = 'i'
    """,
)


async def _describe_sqlite() -> Description:
    described: Description = {}
    for statement in _SQLITE:
        described |= {row["name"]: row["definition"] for row in await select(statement)}
    for row in await select("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL"):
        described |= _named_constraints(row["name"], row["sql"])
    return described


def _named_constraints(table: str, sql: str) -> Description:
    """Parses the names of constraints from the text of the table, the only place where SQLite stores them, one per line."""
    found = re.findall(r'^\s*CONSTRAINT "(\w+)" (CHECK .*?),?$', sql, re.MULTILINE)
    return {f"constraint {table}.{name}": check for name, check in found}


_SQLITE: Final = (
    """
    SELECT 'column ' || t.name || '.' || c.name AS name, c.type || CASE WHEN c."notnull" THEN ' NOT NULL' ELSE '' END
        || CASE WHEN c.pk THEN ' PRIMARY KEY' ELSE '' END || COALESCE(' DEFAULT ' || c.dflt_value, '') AS definition
    FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'
    """,
    "SELECT 'index ' || name AS name, sql AS definition FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    """
    SELECT 'unique key of ' || t.name || ' (' || (SELECT group_concat(name) FROM pragma_index_info(i.name)) || ')' AS name,
        'unique' AS definition
    FROM sqlite_master t, pragma_index_list(t.name) i WHERE t.type = 'table' AND i.origin = 'u'
    """,
    """
    SELECT 'foreign key of ' || t.name || ' (' || f."from" || ')' AS name,
        'to ' || f."table" || ' (' || f."to" || ') ON DELETE ' || f.on_delete AS definition
    FROM sqlite_master t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'
    """,
)
