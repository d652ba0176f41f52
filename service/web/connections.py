"""uvicorn's HTTP protocol with deadlines for reading requests and writing responses.

uvicorn limits only the time between two requests. Without these deadlines, a client that stops in the middle of a head or
a body, or never reads its response, would keep its connection open.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Limits in seconds; `rate` is in bytes a second.

    The first request must begin within `first` seconds of connecting. A head must be complete within `head` seconds of its
    first byte. A body must be complete within `body` seconds, and its average rate must reach `rate` after `grace` seconds.
    The client must read a response at the same rate.
    """

    first: float = 20.0
    head: float = 10.0
    body: float = 30.0
    grace: float = 10.0
    rate: int = 500


DEFAULTS: Final = Deadlines()

_TIMEOUT: Final = b"The request did not arrive in time."
_TIMEOUT_RESPONSE: Final = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_TIMEOUT), _TIMEOUT)
)


class TimedConnection(HttpToolsProtocol):
    """A connection with two timers: one for receiving the request, one for sending the response."""

    def __init__(self, *args: Any, deadlines: Deadlines = DEFAULTS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadlines = deadlines
        self._receive_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._in_body, self._body_began, self._received = False, 0.0, 0

    # ------------------------------------------------------------------------------------------------------ receiving

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._set_receive_timer(self._deadlines.first, self._close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # The base class stops its idle timer at the next byte, even for an empty line or the rest of a rejected body.
        if self._receive_timer is None and self._is_idle() and not self.transport.is_closing():
            self._set_receive_timer(self.timeout_keep_alive, self._close)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._set_receive_timer(self._deadlines.head, self._expire_head)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_body, self._body_began, self._received = True, self.loop.time(), 0
        self._set_receive_timer(min(self._deadlines.grace, self._deadlines.body), self._check_body_rate)

    def on_body(self, body: bytes) -> None:
        self._received += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_body = False
        self._clear_receive_timer()

    def handle_websocket_upgrade(self) -> None:
        self._clear_receive_timer()
        super().handle_websocket_upgrade()

    def _is_idle(self) -> bool:
        return (self.cycle is None or self.cycle.response_complete) and not self.pipeline

    def _expire_head(self) -> None:
        """Closes the connection after the response in progress, if there is one."""
        if self._is_idle():
            self._respond_timeout()
        else:
            self._set_receive_timer(self._deadlines.head, self._expire_head)

    def _check_body_rate(self) -> None:
        """Checks the average rate of the body every second after the grace period."""
        elapsed = self.loop.time() - self._body_began
        if elapsed < self._deadlines.body and self._received >= self._deadlines.rate * elapsed:
            self._set_receive_timer(min(1.0, self._deadlines.body - elapsed), self._check_body_rate)
        elif self.cycle.response_started or self.pipeline:
            self._close()
        else:
            self._respond_timeout()

    def _respond_timeout(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_TIMEOUT_RESPONSE)
        self._close()

    def _set_receive_timer(self, seconds: float, action: Callable[[], None]) -> None:
        self._clear_receive_timer()
        self._receive_timer = self.loop.call_later(seconds, action)

    def _clear_receive_timer(self) -> None:
        if self._receive_timer is not None:
            self._receive_timer.cancel()
            self._receive_timer = None

    # -------------------------------------------------------------------------------------------------------- sending

    def pause_writing(self) -> None:
        super().pause_writing()
        self._set_send_timer(self._deadlines.grace)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._clear_send_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._set_send_timer(self._deadlines.grace)

    def _set_send_timer(self, seconds: float) -> None:
        self._clear_send_timer()
        unread = self.transport.get_write_buffer_size()
        self._send_timer = self.loop.call_later(seconds, self._check_read_rate, unread, seconds)

    def _check_read_rate(self, unread: int, seconds: float) -> None:
        if unread - self.transport.get_write_buffer_size() < self._deadlines.rate * seconds:
            self.transport.abort()
        else:
            self._set_send_timer(seconds)

    def _clear_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    # -------------------------------------------------------------------------------------------------------- closing

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def _close(self) -> None:
        """Closes the connection after sending the rest of the response, if the client reads it."""
        self._clear_receive_timer()
        if not self.transport.is_closing():
            self.transport.close()
            self._set_send_timer(self._deadlines.grace)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_receive_timer()
        self._clear_send_timer()
        super().connection_lost(exc)
