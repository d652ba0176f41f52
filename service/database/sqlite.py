"""SQLite's side of time and shares: Tortoise's client, whose statements are interrupted in time and take a fair place.

Tortoise loads it by its name (`service.database.config_for`).
"""

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import aiosqlite
from tortoise.backends.base.client import (
    ConnectionWrapper,
    NestedTransactionContext,
    TransactionalDBClient,
    TransactionContext,
)
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionContext, SqliteTransactionWrapper
from tortoise.connection import get_connections

from service.database.deadlines import TookTooLong, statement_seconds
from service.database.shares import StatementPlaces

_UNTIL_NEXT_INTERRUPT = 0.02  # seconds; one that comes before the thread has begun the statement has no effect
_OUT_OF_TIME = frozenset({sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY})


class Connection(aiosqlite.Connection):
    """A connection whose running statement is interrupted at its bound, and when its task is cancelled.

    It returns only once the thread is done with the statement. Nobody else could have run one meanwhile, and a
    transaction is then rolled back in a known state. The end of a transaction is never interrupted.
    """

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        seconds, running = statement_seconds(), self._queued(partial(fn, *args, **kwargs))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(running)
        except sqlite3.OperationalError as error:
            raise (TookTooLong() if seconds and error.sqlite_errorcode in _OUT_OF_TIME else error) from None
        except TimeoutError:
            await self._interrupt(running)
            if running.exception() is None:
                return running.result()
            raise TookTooLong from None
        except asyncio.CancelledError:
            await self._interrupt(running)
            raise

    def _queued(self, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Gives the thread something to do."""
        if not self._running or self._connection is None:
            raise ValueError("The connection is closed.")
        future = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((future, work))
        return future

    async def _interrupt(self, running: "asyncio.Future[Any]") -> None:
        """Interrupts the thread until it is done, however often the task is cancelled meanwhile."""
        cancelled = False
        while not running.done():
            self._conn.interrupt()
            try:
                await asyncio.wait([running], timeout=_UNTIL_NEXT_INTERRUPT)
            except asyncio.CancelledError:
                cancelled = True
        running.exception()  # retrieved, so that asyncio does not report it
        if cancelled:
            raise asyncio.CancelledError

    async def commit(self) -> None:
        await self._finish(self._conn.commit)

    async def rollback(self) -> None:
        await self._finish(self._conn.rollback)

    async def _finish(self, end: Callable[[], None]) -> None:
        """Waits for the end of a transaction, however often the task is cancelled meanwhile."""
        ending, cancelled = self._queued(end), False
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError:
                cancelled = True
        ending.result()
        if cancelled:
            raise asyncio.CancelledError


class _Acquired(ConnectionWrapper[Connection]):
    """The connection for one statement, in its places."""

    __slots__ = ("_places",)

    def __init__(self, client: "Client") -> None:
        super().__init__(client._lock, client)  # noqa: SLF001 -- as the class above calls it
        self._places = StatementPlaces()

    async def __aenter__(self) -> Connection:
        await self._places.enter()
        try:
            return await super().__aenter__()
        except BaseException:
            self._places.leave()
            raise

    async def __aexit__(self, *raised: object) -> None:
        await super().__aexit__(*raised)
        self._places.leave()


class _Transaction(SqliteTransactionContext):
    """A transaction in its places, which lets go of the connection also when it is cancelled while it begins."""

    __slots__ = ("_places",)

    def __init__(self, client: "Client") -> None:
        super().__init__(_Wrapper(client), client._lock)  # noqa: SLF001 -- as the class above calls it
        self._places = StatementPlaces()

    async def __aenter__(self) -> TransactionalDBClient:
        await self._places.enter()
        try:
            await self._trxlock.acquire()
        except BaseException:
            self._places.leave()
            raise
        try:
            await self.ensure_connection()
            await self.connection.begin()
        except BaseException:
            self._trxlock.release()
            self._places.leave()
            raise
        self.token = get_connections().set(self.connection_name, self.connection)
        connection: TransactionalDBClient = self.connection
        return connection

    async def __aexit__(self, *raised: object) -> None:
        try:
            await super().__aexit__(*raised)
        finally:
            self._places.leave()


class _Wrapper(SqliteTransactionWrapper):
    """A transaction that takes the write lock at once.

    SQLite's deferred BEGIN fails at the first write when another writer came first, whatever the busy timeout says.
    """

    def _in_transaction(self) -> TransactionContext:
        return NestedTransactionContext(_Wrapper(self))

    async def begin(self) -> None:
        try:
            await self._connection.commit()
            await self._connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            await self._connection.rollback()
            raise

    async def savepoint_rollback(self) -> None:
        """SQLite has rolled back the whole transaction already when it interrupts a statement that writes."""
        if self._connection.in_transaction:
            await super().savepoint_rollback()


class Client(SqliteClient):
    def acquire_connection(self) -> _Acquired:
        return _Acquired(self)

    def _in_transaction(self) -> _Transaction:
        return _Transaction(self)

    async def create_connection(self, with_db: bool) -> None:
        del with_db
        if self._connection:
            return
        connect = partial(sqlite3.connect, self.filename, isolation_level=None)
        self._connection = await Connection(connect, iter_chunk_size=64)
        self._connection._conn.row_factory = sqlite3.Row  # noqa: SLF001 -- as the class above does
        for pragma, value in self.pragmas.items():
            cursor = await self._connection.execute(f"PRAGMA {pragma}={value}")
            await cursor.close()
        await self._post_connect()


client_class = Client
