"""`guestlist serve` and `guestlist worker`: the processes of the service."""

import asyncio
import signal
from typing import Annotated

import typer
from starlette.applications import Starlette

from service import database
from service.cli import server
from service.cli.shared import (
    ConfigOption,
    connected,
    err,
    fail,
    refuse,
    run,
    sender_of,
    settings_or_exit,
)
from service.clock import system_clock
from service.mail.errors import MailSettingsInvalid
from service.settings import Settings, load_settings

PortOption = Annotated[int, typer.Option(envvar="PORT", min=0, max=65_535, help="The port.")]

app = typer.Typer()


@app.command()
def serve(
    *,
    config: ConfigOption = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: PortOption = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes; more than one needs PostgreSQL.")] = 1,
    with_worker: Annotated[bool, typer.Option("--with-worker", help="Deliver mail too.")] = False,
) -> None:
    """Runs the service; with --with-worker it delivers mail too."""
    settings = settings_or_exit(lambda: load_settings(config=config))
    if settings.is_sqlite and workers > 1:
        refuse(
            "SQLite serves one process. For --workers 2 and more, set GUESTLIST_DATABASE_URL to a PostgreSQL database."
        )
    if with_worker and settings.mail_url is None:
        refuse("GUESTLIST_MAIL_URL is missing: --with-worker needs it to deliver mail.")
    _refuse_unsendable(settings)
    refuse_taken(host, port)
    for hint in run(_hints(settings, with_worker=with_worker)):
        err.print(hint, markup=False, highlight=False)
    if with_worker:
        run(_refuse_unsafe_mail(settings))
    server.hand_over(config, with_worker=with_worker)
    serve_application("service.cli.server:make_app", host=host, port=port, workers=workers)


async def _hints(settings: Settings, *, with_worker: bool) -> list[str]:
    """Hints about forgotten steps. Reports a database that does not answer before any process starts."""
    hints = []
    try:
        async with connected(settings):
            pass
    except database.MigrationsPending as error:
        hints.append(str(error))
    if settings.is_sqlite and not with_worker:
        hints.append("No mail is sent: on SQLite, start the service with --with-worker to deliver mail.")
    return hints


def _refuse_unsendable(settings: Settings) -> None:
    """Checks MAIL_URL and MAIL_FROM before any process starts."""
    from service.mail.senders import open_sender  # noqa: PLC0415 -- only for processes that deliver mail

    if settings.mail_url is None:
        return
    try:
        asyncio.run(open_sender(settings).close())
    except MailSettingsInvalid as invalid:
        refuse(str(invalid))


async def _refuse_unsafe_mail(settings: Settings) -> None:
    """Checks the mail service before any process starts. A process that found this itself would end and be restarted."""
    from service.mail.senders import refuse_unsafe  # noqa: PLC0415 -- only for processes that deliver mail

    async with sender_of(settings) as sender:
        refuse_unsafe(await sender.findings())


def refuse_taken(host: str, port: int) -> None:
    try:
        server.refuse_taken(host, port)
    except server.CannotListen as taken:
        fail(str(taken))


def serve_application(application: Starlette | str, *, host: str, port: int, workers: int = 1) -> None:
    if not server.serve(application, host=host, port=port, workers=workers):
        fail("Guestlist could not start. See the log above.")


@app.command()
def worker(*, config: ConfigOption = None) -> None:
    """Delivers mail and deletes expired rows; several can run on PostgreSQL."""
    settings = settings_or_exit(lambda: load_settings(config=config))
    if settings.mail_url is None:
        refuse("GUESTLIST_MAIL_URL is missing: the worker needs it to deliver mail.")
    if settings.is_sqlite:
        refuse(
            "SQLite serves one process, so a separate worker needs PostgreSQL: set GUESTLIST_DATABASE_URL,"
            " or deliver from the service with `guestlist serve --with-worker`."
        )
    _refuse_unsendable(settings)
    run(_run_worker(settings))


async def _run_worker(settings: Settings) -> None:
    from service import changes  # noqa: PLC0415 -- only for processes that deliver mail
    from service.delivery.worker import Worker  # noqa: PLC0415 -- only for processes that deliver mail

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with connected(settings), sender_of(settings) as sender:
        delivering = Worker(settings, sender, system_clock)
        await delivering.check()
        listening = asyncio.create_task(changes.listen(stopping))
        await delivering.run(stopping)
        await listening
