"""Connections that end in time: uvicorn's HTTP protocol with deadlines for what clients send and read.

uvicorn bounds only the time between two requests. A client that stops in the middle of a head or a body, or never reads
its answer, would keep its connection for ever.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a client may take, in seconds; `rate` is in bytes a second.

    A connection may be silent for `silent` before its first request. A head has `head` from its first byte. A body has
    `body` in all, and must come at `rate` bytes a second once `grace` is over. An answer must be read at that rate.
    """

    silent: float = 20.0
    head: float = 10.0
    body: float = 30.0
    grace: float = 10.0
    rate: int = 500


USUAL: Final = Deadlines()

_TIMEOUT: Final = b"The request did not arrive in time."
_ANSWER: Final = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_TIMEOUT), _TIMEOUT)
)


class TimedConnection(HttpToolsProtocol):
    """One connection. One timer watches what the client sends, and another what it reads."""

    def __init__(self, *arguments: Any, deadlines: Deadlines = USUAL, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadlines = deadlines
        self._sending: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._in_body, self._body_began, self._received = False, 0.0, 0

    # ------------------------------------------------------------------------------------------ what the client sends

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect(self._deadlines.silent, self._leave)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # The base class counts idle time only until the next byte, be it an empty line or the rest of a refused body.
        if self._sending is None and self._is_idle() and not self.transport.is_closing():
            self._expect(self.timeout_keep_alive, self._leave)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect(self._deadlines.head, self._time_out_head)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_body, self._body_began, self._received = True, self.loop.time(), 0
        self._expect(min(self._deadlines.grace, self._deadlines.body), self._judge_body)

    def on_body(self, body: bytes) -> None:
        self._received += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_body = False
        self._stop_expecting()

    def handle_websocket_upgrade(self) -> None:
        self._stop_expecting()
        super().handle_websocket_upgrade()

    def _is_idle(self) -> bool:
        return (self.cycle is None or self.cycle.response_complete) and not self.pipeline

    def _time_out_head(self) -> None:
        """A request that stops while an earlier one is still answered waits for that answer."""
        if self._is_idle():
            self._refuse()
        else:
            self._expect(self._deadlines.head, self._time_out_head)

    def _judge_body(self) -> None:
        """Looks every second whether the body comes fast enough, once its grace is over."""
        elapsed = self.loop.time() - self._body_began
        if elapsed < self._deadlines.body and self._received >= self._deadlines.rate * elapsed:
            self._expect(min(1.0, self._deadlines.body - elapsed), self._judge_body)
        elif self.cycle.response_started or self.pipeline:
            self._leave()
        else:
            self._refuse()

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_ANSWER)
        self._leave()

    def _expect(self, seconds: float, otherwise: Callable[[], None]) -> None:
        self._stop_expecting()
        self._sending = self.loop.call_later(seconds, otherwise)

    def _stop_expecting(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    # ------------------------------------------------------------------------------------------ what the client reads

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reading(self._deadlines.grace)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_reading(self._deadlines.grace)

    def _watch_reading(self, seconds: float) -> None:
        self._stop_watching()
        unread = self.transport.get_write_buffer_size()
        self._reading = self.loop.call_later(seconds, self._judge_reading, unread, seconds)

    def _judge_reading(self, unread: int, seconds: float) -> None:
        if unread - self.transport.get_write_buffer_size() < self._deadlines.rate * seconds:
            self.transport.abort()
        else:
            self._watch_reading(seconds)

    def _stop_watching(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    # ------------------------------------------------------------------------------------------------- the end of it

    def timeout_keep_alive_handler(self) -> None:
        self._leave()

    def _leave(self) -> None:
        """Closes the connection once its client has read what was sent, or does not read it."""
        self._stop_expecting()
        if not self.transport.is_closing():
            self.transport.close()
            self._watch_reading(self._deadlines.grace)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_expecting()
        self._stop_watching()
        super().connection_lost(exc)
