"""Migrations: applying them, and operations for the ones that Tortoise does not do well."""

from typing import Any

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.migrations import operations
from tortoise.migrations.executor import MigrationExecutor
from tortoise.migrations.loader import MigrationLoader
from tortoise.migrations.recorder import MigrationRecorder
from tortoise.migrations.schema_editor.base import BaseSchemaEditor
from tortoise.migrations.schema_generator.state import State
from tortoise.transactions import in_transaction

from service.database.connection import config_for, connection, is_postgres
from service.database.deadlines import statements_within
from service.database.sql import select

_MIGRATION_LOCK = 7_165_739_812  # any number without another use as an advisory lock


class MigrationsPending(Exception):
    """Raised when the database lacks migrations of this version. Its text is for the operator."""


class CreateModel(operations.CreateModel):
    """Creates a table with its CHECK constraints. Tortoise's own operation omits those of a new model."""

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
    """Records changes that plain SQL makes. Tortoise's own operations would rebuild the table on SQLite."""

    def __init__(self, *changes: operations.TortoiseOperation) -> None:
        self._changes = changes

    def state_forward(self, app_label: str, state: State) -> None:
        for change in self._changes:
            change.state_forward(app_label, state)


class RemoveField(operations.RemoveField):
    """Drops a column with one statement. Tortoise's own operation rebuilds SQLite's table, and loses indexes and children."""

    async def database_forward(
        self, app_label: str, old_state: State, new_state: State, state_editor: BaseSchemaEditor | None = None
    ) -> None:
        del new_state
        if state_editor is None:
            return
        table = old_state.apps.get_model(f"{app_label}.{self.model_name}")._meta.db_table  # noqa: SLF001
        await state_editor._run_sql(f'ALTER TABLE "{table}" DROP COLUMN "{self.name}"')  # noqa: SLF001


class _Recorder(MigrationRecorder):
    """Creates its table with one statement, because SQLite's executescript would commit the surrounding transaction."""

    async def ensure_schema(self, schema_editor: BaseSchemaEditor) -> None:
        sql = schema_editor._get_model_sql_data(self.model).table_sql  # noqa: SLF001
        await self.connection.execute_query(sql.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1).rstrip(";"))


class _Executor(MigrationExecutor):
    def __init__(self, client: BaseDBAsyncClient, apps: dict[str, dict[str, Any]]) -> None:
        super().__init__(client, apps)
        self.recorder = _Recorder(client)
        self.loader = MigrationLoader(apps, self.recorder, load=False)


async def migrate(url: str) -> list[str]:
    """Applies the pending migrations in one transaction, and returns their names.

    Concurrent calls are safe: PostgreSQL's advisory lock and SQLite's write lock run them one at a time.
    """
    config = config_for(url)
    applied: list[str] = []
    with statements_within(None):
        async with in_transaction():
            if is_postgres():
                await select("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
            executor = _Executor(connection(), config["apps"])
            # Reading a missing table would abort PostgreSQL's transaction.
            await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))  # noqa: SLF001
            await executor.migrate(
                direction="forward",
                progress=lambda event, _app, name: applied.append(name) if event == "apply_done" else None,
            )
    return applied


async def apply_all(url: str) -> None:
    """Applies all migrations to an empty database, to inspect the result."""
    executor = _Executor(connection(), config_for(url)["apps"])
    await executor.recorder.ensure_schema(executor._schema_editor(atomic=False))  # noqa: SLF001
    await executor.migrate(direction="forward")


async def pending(url: str) -> list[str]:
    """The names of pending migrations. Changes nothing."""
    executor = _Executor(connection(), config_for(url)["apps"])
    return [step.migration.name for step in await executor.plan()]


async def refuse_pending(url: str) -> None:
    """Raises MigrationsPending unless all migrations are applied."""
    if names := await pending(url):
        raise MigrationsPending(f"Migrations are not applied ({', '.join(names)}): run `guestlist migrate`.")
