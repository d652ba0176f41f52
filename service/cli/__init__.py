"""The command line. Exit status: 0 success, 1 failure, 2 wrong usage or settings."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version as version_of
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

# Each command, with its module and the Typer application of its group. A module is imported when its command is called.
_MODULES: Final[Mapping[str, tuple[str, str]]] = {
    "dev": ("dev", "app"),
    "serve": ("serve", "app"),
    "worker": ("serve", "app"),
    "migrate": ("check", "app"),
    "community": ("communities", "community_app"),
    "identity": ("communities", "identity_app"),
    "suppression": ("suppression", "suppression_app"),
    "mail": ("check", "mail_app"),
    "invite": ("invite", "app"),
    "export": ("data", "app"),
    "erase": ("data", "app"),
    "doctor": ("check", "app"),
    "schema": ("check", "app"),
}


class _LazyGroup(TyperGroup):
    """Imports the module of a command when the command is called or listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(_MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        if cmd_name not in _MODULES:
            return None
        module, group_name = _MODULES[cmd_name]
        group = typer.main.get_group(getattr(import_module(f"service.cli.{module}"), group_name))
        group.name = cmd_name
        return group.commands[cmd_name] if group_name == "app" else group


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
