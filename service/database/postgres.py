"""Tortoise's client for PostgreSQL, with time limits and fair shares. Tortoise loads it by name (`config_for`)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import PoolConnectionWrapper, TransactionalDBClient, TransactionContextPooled
from tortoise.connection import get_connections

from service.database.deadlines import TookTooLong, statement_seconds
from service.database.shares import StatementSlots

_ENDS: Final = frozenset({"COMMIT;", "ROLLBACK;"})


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    """Converts timeouts into TookTooLong. The driver cancels the statement in the database at its timeout, and with its task."""
    try:
        yield
    except (TimeoutError, asyncpg.QueryCanceledError) as error:
        raise TookTooLong from error


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg carries no types
    """A connection that returns to the pool without a reset query, which saves a round trip per statement.

    The service changes no session state (no SET, no advisory lock beyond a transaction). The pool rolls open transactions back.
    asyncpg applies the limit of each statement. The end of a transaction has no limit, because its outcome must be known.
    """

    def get_reset_query(self) -> str:
        return ""

    async def fetch(self, query: str, *values: Any, **options: Any) -> Any:
        async with _in_time():
            return await super().fetch(query, *values, **{"timeout": statement_seconds()} | options)

    async def fetchrow(self, query: str, *values: Any, **options: Any) -> Any:
        async with _in_time():
            return await super().fetchrow(query, *values, **{"timeout": statement_seconds()} | options)

    async def execute(self, query: str, *values: Any, **options: Any) -> Any:
        seconds = None if query in _ENDS else statement_seconds()
        async with _in_time():
            return await super().execute(query, *values, **{"timeout": seconds} | options)

    async def executemany(self, query: str, rows: Any, **options: Any) -> Any:
        async with _in_time():
            return await super().executemany(query, rows, **{"timeout": statement_seconds()} | options)


class _Acquired(PoolConnectionWrapper[asyncpg.Connection]):
    """A connection of the pool for one statement, within its shares."""

    def __init__(self, client: "Client") -> None:
        super().__init__(client, client._pool_init_lock)  # noqa: SLF001 -- as the base class calls it
        self._slots = StatementSlots()

    async def __aenter__(self) -> asyncpg.Connection:
        await self._slots.enter()
        try:
            return await super().__aenter__()
        except BaseException:
            self._slots.leave()
            raise

    async def __aexit__(self, *raised: object) -> None:
        try:
            await super().__aexit__(*raised)
        finally:
            self._slots.leave()


class _Transaction(TransactionContextPooled):
    """A transaction within its shares. It returns its connection even when it is cancelled during its start."""

    def __init__(self, client: "Client") -> None:
        super().__init__(TransactionWrapper(client), client._pool_init_lock)  # noqa: SLF001 -- as the base class calls it
        self._slots = StatementSlots()

    async def __aenter__(self) -> TransactionalDBClient:
        await self.ensure_connection()
        await self._slots.enter()
        try:
            await self._begin()
        except BaseException:
            self._slots.leave()
            raise
        return self.client

    async def _begin(self) -> None:
        pool = self.client._parent._pool  # noqa: SLF001
        self.client._connection = await pool.acquire()  # noqa: SLF001
        try:
            await self.client.begin()
        except BaseException:
            await pool.release(self.client._connection)  # noqa: SLF001
            raise
        self.token = get_connections().set(self.connection_name, self.client)

    async def __aexit__(self, *raised: object) -> None:
        try:
            await super().__aexit__(*raised)
        finally:
            self._slots.leave()


class Client(AsyncpgDBClient):
    def acquire_connection(self) -> _Acquired:
        return _Acquired(self)

    def _in_transaction(self) -> _Transaction:
        return _Transaction(self)


client_class = Client
