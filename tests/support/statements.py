"""The SQL statements that the database layer runs, read from Tortoise's log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Statement(NamedTuple):
    sql: str
    values: Any


class _Recorder(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.statements: list[Statement] = []

    def emit(self, record: logging.LogRecord) -> None:
        sql, values = record.args if isinstance(record.args, tuple) and record.args else (record.msg, None)
        self.statements.append(Statement(str(sql), values))


@contextmanager
def recorded_statements() -> Iterator[list[Statement]]:
    """Records the SQL statements of a block, without BEGIN and COMMIT."""
    logger, recorder = logging.getLogger("tortoise.db_client"), _Recorder()
    before = logger.level
    logger.addHandler(recorder)
    logger.setLevel(logging.DEBUG)
    try:
        yield recorder.statements
    finally:
        logger.removeHandler(recorder)
        logger.setLevel(before)
