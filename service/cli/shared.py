"""Shared steps of commands: settings, the database, a mail sender, addresses, and exit statuses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

from service import database, logs
from service.addresses import Address, AddressInvalid, as_stored, canonical
from service.errors import ExpectedError
from service.mail.errors import MailDeferred, MailRefused, MailSettingsInvalid, MailUnsafe
from service.settings import Settings, SettingsInvalid

if TYPE_CHECKING:
    from service.mail.senders import MailSender

Result = TypeVar("Result")

# Terminals wrap long lines, and scripts and logs find each message whole.
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="A TOML file with settings; the environment takes precedence.", dir_okay=False),
]


@contextlib.asynccontextmanager
async def connected(settings: Settings, *, migrated: bool = True) -> AsyncIterator[None]:
    """Connects to the database for a block. With `migrated`, raises MigrationsPending unless all migrations are applied."""
    url = settings.database_url.get_secret_value()
    await database.connect(url)
    try:
        if migrated:
            await database.refuse_pending(url)
        yield
    finally:
        await database.disconnect()


@contextlib.asynccontextmanager
async def sender_of(settings: Settings) -> "AsyncIterator[MailSender]":
    from service.mail.senders import open_sender  # noqa: PLC0415 -- only for commands that send mail

    sender = open_sender(settings)
    try:
        yield sender
    finally:
        await sender.close()


@contextlib.asynccontextmanager
async def sender_if_any(settings: Settings) -> "AsyncIterator[MailSender | None]":
    if settings.mail_url is None:
        yield None
        return
    async with sender_of(settings) as sender:
        yield sender


def address_or_exit(text: str, where: str = "") -> Address:
    """The canonical address. Exits with status 2 for an invalid one."""
    try:
        return canonical(text)
    except AddressInvalid as error:
        refuse(f"{where}{error}")


def stored_address(text: str, where: str = "") -> Address:
    """The address as stored rows have it, which can be older than today's rules. Exits with status 2 for an invalid one."""
    try:
        return as_stored(text)
    except AddressInvalid as error:
        refuse(f"{where}{error}")


def settings_or_exit(load: Callable[[], Settings]) -> Settings:
    """Loads the settings and configures the logs. Names every wrong setting and exits with status 2."""
    try:
        settings = load()
    except SettingsInvalid as invalid:
        for finding in invalid.findings:
            err.print(str(finding), markup=False, highlight=False)
        raise typer.Exit(2) from None
    logs.configure(settings.log_level, settings.log_format)
    return settings


def refuse(message: str) -> NoReturn:
    err.print(message, markup=False, highlight=False)
    raise typer.Exit(2)


def fail(message: str) -> NoReturn:
    err.print(message, markup=False, highlight=False)
    raise typer.Exit(1)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs a command's work. Prints errors that the operator can fix, and exits with status 1."""
    try:
        return asyncio.run(work)
    except (
        ExpectedError,
        database.DatabaseUnavailable,
        database.MigrationsPending,
        MailDeferred,
        MailRefused,
        MailSettingsInvalid,
        MailUnsafe,
    ) as failed:
        fail(str(failed))
