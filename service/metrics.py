"""Metrics for Prometheus: counts and durations, never an address or an id.

Each process of one `serve` responds for all of them. Workers serve no pages, so the database counts the mails that are due.
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
"""The environment variable that names the folder in which processes share their counts."""

requests = Counter("guestlist_http_requests", "HTTP requests answered", ["route", "method", "status"])
seconds = Histogram("guestlist_http_request_seconds", "Time to answer an HTTP request", ["route"])
flows = Counter("guestlist_flows", "Sign-ins and acceptances that returned", ["kind", "status"])
refusals = Counter("guestlist_refusals", "Mutations that were refused, by problem", ["mutation", "problem"])
mails = Counter("guestlist_mails", "Mails by outcome", ["kind", "outcome"])
documents = Counter("guestlist_graphql_documents", "GraphQL documents: cached or new", ["found"])
notifications = Counter("guestlist_notifications", "Delivery notifications by outcome", ["outcome"])


async def exposition(now: datetime) -> bytes:
    """Returns all metrics in the text format of Prometheus."""
    return counts() + await _backlog(now)


def counts() -> bytes:
    """Returns the counts of all processes of this `serve`."""
    registry = REGISTRY
    if os.environ.get(FOLDER):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


async def _backlog(now: datetime) -> bytes:
    """Returns the backlog of mails, or nothing when the database does not answer, so that the rest stays readable."""
    try:
        backlog = await outbox.backlog(now)
    except Exception as error:  # noqa: BLE001 -- /readyz reports the error
        log.warning("metrics.database_failed", error=type(error).__name__)
        return b""
    late = (now - backlog.oldest_at).total_seconds() if backlog.oldest_at else 0.0
    registry = CollectorRegistry()
    registry.register(_BacklogCollector(backlog.mails, late))
    return generate_latest(registry)


class _BacklogCollector(Collector):
    """Gauges of the backlog, read from the database."""

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
