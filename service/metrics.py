"""What Prometheus may read: counts and durations, never an address or an id."""

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import Response

requests = Counter("guestlist_http_requests", "HTTP requests answered", ["route", "method", "status"])
seconds = Histogram("guestlist_http_request_seconds", "Time to answer an HTTP request", ["route"])
documents = Counter("guestlist_graphql_documents", "GraphQL documents asked: kept from before, or new", ["found"])
flows = Counter("guestlist_flows", "Sign-ins and acceptances that returned", ["kind", "status"])
mails = Counter("guestlist_mails", "Mails by what became of sending them", ["kind", "outcome"])
notifications = Counter("guestlist_notifications", "Delivery notifications by what became of them", ["outcome"])


async def endpoint(_: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
