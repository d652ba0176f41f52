"""Periods: a caller's bounds in time, checked and in UTC."""

from datetime import UTC, datetime, timedelta
from typing import Final

from service.errors import InvalidInput
from service.languages import sentence

# A day within the range of datetime, so that every offset from UTC stays within it.
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
_LATEST: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)


def in_utc(bound: datetime | None) -> str:
    return "" if bound is None else bound.astimezone(UTC).isoformat()


def refuse_empty_period(after: datetime | None, before: datetime | None, first: str, last: str) -> None:
    """Raises InvalidInput for an empty period, and for a bound without an offset from UTC."""
    for name, bound in ((first, after), (last, before)):
        if bound is not None and bound.tzinfo is None:
            raise InvalidInput(name, sentence(
                "INSTANT_INVALID", "%(field)s has no offset from UTC; an instant like 2026-01-31T12:00:00Z was expected.",
                field=name,
            ))  # fmt: skip
        if bound is not None and not _EARLIEST <= bound <= _LATEST:
            raise InvalidInput(name, sentence(
                "INSTANT_INVALID", "%(field)s is out of reach; an instant like 2026-01-31T12:00:00Z was expected.",
                field=name,
            ))  # fmt: skip
    if after is not None and before is not None and after >= before:
        raise InvalidInput(first, sentence(
            "PERIOD_EMPTY", "%(first)s is not earlier than %(last)s, so nothing can lie between them.",
            first=first, last=last,
        ))  # fmt: skip
