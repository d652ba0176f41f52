"""The database.

connection.py        the connection of the process, and transactions
sql.py               running statements, and building blocks for them
migrations.py        applying migrations
drift.py             differences between the models, the migrations and the database
deadlines.py         time limits of statements
shares.py            fair shares of callers and communities
postgres.py, sqlite.py   the engines, under Tortoise
"""

from tortoise.exceptions import IntegrityError

from service.database.connection import (
    APP,
    DatabaseUnavailable,
    config_for,
    connect,
    connection,
    disconnect,
    is_postgres,
    pool_size,
    sqlite_path,
    transaction,
)
from service.database.migrations import (
    CreateModel,
    MigrationsPending,
    RemoveField,
    StateOnly,
    apply_all,
    migrate,
    pending,
    refuse_pending,
)
from service.database.sql import (
    Params,
    Statement,
    empty_write_ahead_log,
    execute,
    execute_batch,
    insert,
    json_list,
    json_object,
    select,
    select_each,
    select_pages,
)

__all__ = [
    "APP",
    "CreateModel",
    "DatabaseUnavailable",
    "IntegrityError",
    "MigrationsPending",
    "Params",
    "RemoveField",
    "StateOnly",
    "Statement",
    "apply_all",
    "config_for",
    "connect",
    "connection",
    "disconnect",
    "empty_write_ahead_log",
    "execute",
    "execute_batch",
    "insert",
    "is_postgres",
    "json_list",
    "json_object",
    "migrate",
    "pending",
    "pool_size",
    "refuse_pending",
    "select",
    "select_each",
    "select_pages",
    "sqlite_path",
    "transaction",
]
