"""PostgreSQL's side of time and shares: Tortoise's client, whose statements end in time and take a fair place.

Tortoise loads it by its name (`service.database.config_for`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import PoolConnectionWrapper, TransactionalDBClient, TransactionContextPooled
from tortoise.connection import get_connections

from service.database.deadlines import TookTooLong, statement_seconds
from service.database.shares import StatementPlaces

_ENDS: Final = frozenset({"COMMIT;", "ROLLBACK;"})


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    """Translates the timeout. The driver cancels the statement in the database at its timeout, and when its task is cancelled."""
    try:
        yield
    except (TimeoutError, asyncpg.QueryCanceledError) as error:
        raise TookTooLong from error


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg carries no types
    """A connection that goes back to the pool as it is, which saves a round trip a statement: nothing here sets a session
    up for itself (no SET, no advisory lock beyond a transaction). What was left open is rolled back all the same.

    Each statement has a bound of its own, which asyncpg keeps. The end of a transaction has none: it must be known how
    it came out.
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
    """A connection of the pool for one statement, in its places."""

    def __init__(self, client: "Client") -> None:
        super().__init__(client, client._pool_init_lock)  # noqa: SLF001 -- as the class above calls it
        self._places = StatementPlaces()

    async def __aenter__(self) -> asyncpg.Connection:
        await self._places.enter()
        try:
            return await super().__aenter__()
        except BaseException:
            self._places.leave()
            raise

    async def __aexit__(self, *raised: object) -> None:
        try:
            await super().__aexit__(*raised)
        finally:
            self._places.leave()


class _Transaction(TransactionContextPooled):
    """A transaction in its places, whose connection goes back also when it is cancelled while it begins."""

    def __init__(self, client: "Client") -> None:
        super().__init__(TransactionWrapper(client), client._pool_init_lock)  # noqa: SLF001 -- as the class above calls it
        self._places = StatementPlaces()

    async def __aenter__(self) -> TransactionalDBClient:
        await self.ensure_connection()
        await self._places.enter()
        try:
            await self._begin()
        except BaseException:
            self._places.leave()
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
            self._places.leave()


class Client(AsyncpgDBClient):
    def acquire_connection(self) -> _Acquired:
        return _Acquired(self)

    def _in_transaction(self) -> _Transaction:
        return _Transaction(self)


client_class = Client
