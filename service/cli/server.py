"""Serving: uvicorn's options, and passing the settings to its worker processes."""

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
from service.metrics import FOLDER
from service.settings import load_settings
from service.web.connections import TimedConnection

# Environment variables with the options of `serve`, for the processes that uvicorn starts.
_CONFIG: Final = "_GUESTLIST_CONFIG"
_WITH_WORKER: Final = "_GUESTLIST_WITH_WORKER"

# uvicorn's access log prints query strings, and its proxy headers trust loopback. Our own replace both.
OPTIONS: Final[dict[str, Any]] = {
    "access_log": False,
    "proxy_headers": False,
    "server_header": False,
    "log_config": None,
    # Longer than the minute that proxies keep a connection, so that the proxy closes it first. Otherwise a request that is
    # sent while this end closes fails with a reset.
    "timeout_keep_alive": 75,
    "timeout_graceful_shutdown": 20,
    # A busy machine needs time to start a process, and must not start another one instead.
    "timeout_worker_healthcheck": 60,
    "ws_max_size": 512 * 1024,
    "http": TimedConnection,
}


class CannotListen(Exception):
    """Raised when the port is not available. Its text gives the reason and a remedy."""


def refuse_taken(host: str, port: int) -> None:
    """Checks that the port is available. Raises CannotListen."""
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
    """Exempts the objects of the start from garbage collection, which halves the slowest answers."""
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
    # Imported in the serving processes only, because the application is slow to import.
    from service.app import create_app  # noqa: PLC0415
    from service.mail.senders import open_sender  # noqa: PLC0415

    app = create_app(settings, sender=open_sender(settings) if os.environ.get(_WITH_WORKER) else None)
    settle_memory()
    return app
