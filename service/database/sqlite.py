"""Tortoise's client for SQLite, with time limits and fair shares. Tortoise loads it by name (`config_for`)."""

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
from service.database.shares import StatementSlots

_UNTIL_NEXT_INTERRUPT = 0.02  # seconds; an interrupt before the statement has started has no effect
_OUT_OF_TIME = frozenset({sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY})


class Connection(aiosqlite.Connection):
    """A connection that interrupts a statement at its limit, and when its task is cancelled.

    It returns after the thread has finished the statement, so that a transaction is rolled back in a known state. It never
    interrupts the end of a transaction.
    """

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        seconds, running = statement_seconds(), self._enqueue(partial(fn, *args, **kwargs))
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

    def _enqueue(self, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Adds work to the queue of the thread."""
        if not self._running or self._connection is None:
            raise ValueError("The connection is closed.")
        future = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((future, work))
        return future

    async def _interrupt(self, running: "asyncio.Future[Any]") -> None:
        """Interrupts the thread until it has finished, even when the task is cancelled several times."""
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
        """Waits for the end of a transaction, even when the task is cancelled several times."""
        ending, cancelled = self._enqueue(end), False
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError:
                cancelled = True
        ending.result()
        if cancelled:
            raise asyncio.CancelledError


class _Acquired(ConnectionWrapper[Connection]):
    """The connection for one statement, within its shares."""

    __slots__ = ("_slots",)

    def __init__(self, client: "Client") -> None:
        super().__init__(client._lock, client)  # noqa: SLF001 -- as the base class calls it
        self._slots = StatementSlots()

    async def __aenter__(self) -> Connection:
        await self._slots.enter()
        try:
            return await super().__aenter__()
        except BaseException:
            self._slots.leave()
            raise

    async def __aexit__(self, *raised: object) -> None:
        await super().__aexit__(*raised)
        self._slots.leave()


class _Transaction(SqliteTransactionContext):
    """A transaction within its shares. It releases the connection even when it is cancelled during its start."""

    __slots__ = ("_slots",)

    def __init__(self, client: "Client") -> None:
        super().__init__(_Wrapper(client), client._lock)  # noqa: SLF001 -- as the base class calls it
        self._slots = StatementSlots()

    async def __aenter__(self) -> TransactionalDBClient:
        await self._slots.enter()
        try:
            await self._trxlock.acquire()
        except BaseException:
            self._slots.leave()
            raise
        try:
            await self.ensure_connection()
            await self.connection.begin()
        except BaseException:
            self._trxlock.release()
            self._slots.leave()
            raise
        self.token = get_connections().set(self.connection_name, self.connection)
        connection: TransactionalDBClient = self.connection
        return connection

    async def __aexit__(self, *raised: object) -> None:
        try:
            await super().__aexit__(*raised)
        finally:
            self._slots.leave()


class _Wrapper(SqliteTransactionWrapper):
    """A transaction that acquires the write lock at its start.

    SQLite's deferred BEGIN fails at the first write after another writer, regardless of the busy timeout.
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
        """Skips the rollback where SQLite has already rolled back the whole transaction, after an interrupted write."""
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
        self._connection._conn.row_factory = sqlite3.Row  # noqa: SLF001 -- as the base class does
        for pragma, value in self.pragmas.items():
            cursor = await self._connection.execute(f"PRAGMA {pragma}={value}")
            await cursor.close()
        await self._post_connect()


client_class = Client
