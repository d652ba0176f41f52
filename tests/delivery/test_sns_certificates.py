"""Fetching Amazon's certificates from a server with faults."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.delivery import sns

pytestmark = pytest.mark.anyio

PEM = b"-----BEGIN CERTIFICATE-----"


@asynccontextmanager
async def _answering(answer: bytes, *, then_wait: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Runs a server that answers every request with these bytes. Yields its URL and the requests."""
    requests: list[bytes] = []
    over = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        if then_wait:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x.pem", requests
    finally:
        over.set()
        server.close()
        await server.wait_closed()


def _ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


async def test_certificate_is_fetched_whole() -> None:
    """A small answer with status 200 is returned."""
    async with _answering(_ok(PEM)) as (url, requests):
        assert await sns.fetch_certificate(url) == PEM
        assert len(requests) == 1


async def test_other_answers_are_no_certificate() -> None:
    """A huge body, an error, a redirect, half an answer and nonsense are rejected. No redirect is followed."""
    async with _answering(_ok(b"x")) as (elsewhere, requests):
        redirect = b"HTTP/1.1 302 Found\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % elsewhere.encode()
        bad = [
            _ok(b"x" * 40_000),
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nPEM",
            redirect,
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
            b"SSH-2.0-nonsense\r\n",
        ]
        for answer in bad:
            async with _answering(answer) as (url, _):
                with pytest.raises(sns.RetryLater):
                    await sns.fetch_certificate(url)
        assert requests == []


async def test_endless_answer_meets_the_deadline() -> None:
    """A server that never finishes its answer takes no longer than the deadline."""
    async with _answering(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", then_wait=True) as (url, _):
        with pytest.raises(sns.RetryLater):
            await sns.fetch_certificate(url, seconds=0.2)
