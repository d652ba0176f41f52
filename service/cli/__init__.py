"""The command line. Exit status: 0 success, 1 failure, 2 wrong usage or settings."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version as version_of
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class _Command(NamedTuple):
    """A command or a group of commands, in a Typer application of a module."""

    module: str
    application: str
    help: str


# `guestlist --help` shows these sentences without importing the modules, which takes a second.
COMMANDS: Final[Mapping[str, _Command]] = {
    "dev": _Command(
        "dev",
        "app",
        "Runs the whole service on one machine: SQLite, development OpenID Provider, mailbox page, demo community.",
    ),
    "serve": _Command("serve", "app", "Runs the service; with --with-worker it delivers mail too."),
    "worker": _Command("serve", "app", "Delivers mail and deletes expired rows; several can run on PostgreSQL."),
    "migrate": _Command(
        "check", "app", "Migrates the database; concurrent runs are safe. --check changes nothing and fails on drift."
    ),
    "community": _Command("communities", "community_app", "Communities."),
    "identity": _Command("communities", "identity_app", "The sign-ins of accounts."),
    "suppression": _Command("suppression", "suppression_app", "Addresses that get no mail."),
    "mail": _Command("check", "mail_app", "The mails of the service."),
    "invite": _Command("invite", "app", "Invites addresses or a list. Running it again invites each address once."),
    "export": _Command(
        "data", "app", "Writes a community's invitations or audit log as CSV, safe to open in a spreadsheet."
    ),
    "erase": _Command("data", "app", "Erases a person's data and keeps the audit's facts."),
    "doctor": _Command(
        "check",
        "app",
        "Checks settings, database, migrations, mail, providers and clock; prints a remedy for each finding.",
    ),
    "schema": _Command("check", "app", "Prints the SDL."),
}


class _LazyGroup(TyperGroup):
    """Imports the module of a command when the command is called. A list of the commands imports none."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Returns a command for lists, with its help only."""
        del ctx
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name].help) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Returns the command to run."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, imported_command(str(name)), rest


def imported_command(name: str) -> Any:
    """Returns a command with its options, from its module."""
    module, application, _ = COMMANDS[name]
    group = typer.main.get_group(getattr(import_module(f"service.cli.{module}"), application))
    group.name = name
    return group.commands[name] if application == "app" else group


app = typer.Typer(
    cls=_LazyGroup, help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


def _print_version(requested: bool) -> None:
    if requested:
        print(version_of("guestlist"))
        raise typer.Exit


@app.callback()
def _guestlist(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Prints the version.")
    ] = False,
) -> None:
    """The command line. Exit status: 0 success, 1 failure, 2 wrong usage or settings."""


def main() -> None:
    """Runs the command line. `guestlist.py` calls it after its check of the packages."""
    app()
