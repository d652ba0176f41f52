"""What Prometheus may read: counts and durations, never an address or an id.

Of several processes under one `serve`, whichever is asked answers for all of them. Workers serve no page, so what waits
for them is counted in the database.
"""

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.mail import outbox

log = structlog.get_logger()

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus-client learns where processes share their counts."""

requests = Counter("guestlist_http_requests", "HTTP requests answered", ["route", "method", "status"])
seconds = Histogram("guestlist_http_request_seconds", "Time to answer an HTTP request", ["route"])
flows = Counter("guestlist_flows", "Sign-ins and acceptances that returned", ["kind", "status"])
refusals = Counter("guestlist_refusals", "Mutations that were refused, by the problem told", ["mutation", "problem"])
mails = Counter("guestlist_mails", "Mails by what became of sending them", ["kind", "outcome"])
documents = Counter("guestlist_graphql_documents", "GraphQL documents asked: kept from before, or new", ["found"])
notifications = Counter("guestlist_notifications", "Delivery notifications by what became of them", ["outcome"])


async def exposition(now: datetime) -> bytes:
    """All metrics in Prometheus' text format."""
    return counts() + await _waiting(now)


def counts() -> bytes:
    """What the processes of this `serve` counted."""
    registry = REGISTRY
    if os.environ.get(FOLDER):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


async def _waiting(now: datetime) -> bytes:
    """The mails that are due; a database that does not answer keeps nobody from reading the rest."""
    try:
        backlog = await outbox.backlog(now)
    except Exception as error:  # noqa: BLE001 -- whatever it is, readiness tells it
        log.warning("metrics.database_failed", error=type(error).__name__)
        return b""
    late = (now - backlog.oldest_at).total_seconds() if backlog.oldest_at else 0.0
    registry = CollectorRegistry()
    registry.register(_Due(backlog.mails, late))
    return generate_latest(registry)


class _Due(Collector):
    """Read at this moment, and not counted by any process."""

    def __init__(self, mails: int, seconds: float) -> None:
        self._mails, self._seconds = mails, seconds

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("guestlist_mails_due", "Mails that are due and not sent", self._mails)
        yield GaugeMetricFamily("guestlist_mails_due_seconds", "How long the oldest of them is due", self._seconds)


__all__ = [
    "CONTENT_TYPE_LATEST",
    "FOLDER",
    "counts",
    "documents",
    "exposition",
    "flows",
    "mails",
    "notifications",
    "requests",
    "seconds",
]
