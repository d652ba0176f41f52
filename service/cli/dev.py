"""`guestlist dev`: the whole service on one machine."""

from typing import Annotated

import typer

from service import database
from service.cli.serve import PortOption, refuse_taken, serve_application
from service.cli.shared import (
    ConfigOption,
    connected,
    out,
    run,
    settings_or_exit,
)
from service.clock import system_clock
from service.dev import mode
from service.settings import Settings

app = typer.Typer()


@app.command()
def dev(
    *,
    config: ConfigOption = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: PortOption = 8000,
) -> None:
    """Runs the whole service on one machine: SQLite, development OpenID Provider, mailbox page, demo community."""
    settings = settings_or_exit(lambda: mode.development_settings(config, port=port))
    refuse_taken(host, port)
    mail_waits = run(_prepare_development(settings))
    development = mode.create_development_app(settings, clock=system_clock)
    out.print(f"Guestlist is on [bold]{settings.public_url}[/bold]")
    out.print(_next_step(settings, mail_waits=mail_waits))
    serve_application(development, host=host, port=port)


def _next_step(settings: Settings, *, mail_waits: bool) -> str:
    if not mail_waits:
        return f"{mode.DEMO} has an owner: sign in there as {mode.OWNER}."
    if settings.mail_url is not None and settings.mail_url.get_secret_value().startswith("mailbox:"):
        return f"The first owner's mail is in the mailbox: [bold]{settings.public_url}/dev/mailbox[/bold]"
    return f"The first owner's mail goes to {mode.OWNER}, through the mail service that GUESTLIST_MAIL_URL names."


async def _prepare_development(settings: Settings) -> bool:
    url = settings.database_url.get_secret_value()
    async with connected(settings, migrated=False):
        await database.migrate(url)
        return await mode.prepare_demo(settings, now=system_clock())
