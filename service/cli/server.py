"""Serving: uvicorn with what this service needs of it, and the settings handed to its worker processes."""

import contextlib
import gc
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from service import logs
from service.app import create_app
from service.mail.senders import open_sender
from service.metrics import FOLDER
from service.settings import load_settings
from service.web.connections import TimedConnection

# How `serve` tells the processes that uvicorn starts what it was told itself.
_CONFIG: Final = "_GUESTLIST_CONFIG"
_WITH_WORKER: Final = "_GUESTLIST_WITH_WORKER"

# uvicorn's own access log prints query strings, and its proxy headers trust loopback: both are ours instead.
OPTIONS: Final[dict[str, Any]] = {
    "access_log": False,
    "proxy_headers": False,
    "server_header": False,
    "log_config": None,
    # Proxies keep a connection for a minute. Who lets go of it first must be them: a request that goes out just as this end
    # closes meets a reset.
    "timeout_keep_alive": 75,
    "timeout_graceful_shutdown": 20,
    # A busy machine takes its time to start a process, which is no reason to start another instead.
    "timeout_worker_healthcheck": 60,
    "ws_max_size": 512 * 1024,
    "http": TimedConnection,
}


class CannotListen(Exception):
    """Raised when the address to listen on cannot be had; its text says why, and what to do."""


def refuse_taken(host: str, port: int) -> None:
    """Looks whether the address can be listened on, before anything is made or told. Raises CannotListen."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]
        raise CannotListen(
            f"Port {port} on {host} cannot be listened on: {why}. Stop what uses it, or choose another one with --port"
            " or PORT."
        ) from None


def serve(app: Starlette | str, *, host: str, port: int, workers: int = 1) -> bool:
    """Serves until told to stop; False when it could not start. With several workers each makes the application."""
    config = uvicorn.Config(app, host=host, port=port, workers=workers, factory=isinstance(app, str), **OPTIONS)
    if workers == 1:
        return _serve_alone(uvicorn.Server(config))
    supervisor = Multiprocess(config, sockets=[config.bind_socket()])
    with tempfile.TemporaryDirectory(prefix="guestlist-metrics-") as folder:
        os.environ[FOLDER] = folder
        supervisor.run()
    return all(process.exitcode != STARTUP_FAILURE for process in supervisor.processes)


def _serve_alone(server: uvicorn.Server) -> bool:
    """Uvicorn drains, and then raises the signal again that ended it; to be stopped when asked to is no failure."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        server.run()
    return server.started


def settle_memory() -> None:
    """What was made at start stays: the collector need not look at it again, which halves the slowest answers."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


def hand_over(config: Path | None, *, with_worker: bool) -> None:
    """Leaves word for `make_app`, in this process or in those that uvicorn starts."""
    os.environ[_CONFIG] = str(config.absolute()) if config else ""
    os.environ[_WITH_WORKER] = "yes" if with_worker else ""


def make_app() -> Starlette:
    """The application of `guestlist serve`, made in each of its processes."""
    config = os.environ.get(_CONFIG)
    settings = load_settings(config=Path(config) if config else None)
    logs.configure(settings.log_level, settings.log_format)
    app = create_app(settings, sender=open_sender(settings) if os.environ.get(_WITH_WORKER) else None)
    settle_memory()
    return app
