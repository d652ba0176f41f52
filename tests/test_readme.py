"""The README's reference agrees with the service."""

import re
from typing import Any

from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from service.app import create_app
from service.cli import COMMANDS, imported_command
from service.settings import load_settings, reference
from tests import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def _table(heading: str) -> list[tuple[str, ...]]:
    """Returns the rows of the first table below a heading, without code marks."""
    section = README.partition(f"### {heading}\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| (`.+?) \|$", section, re.MULTILINE)
    return [tuple(cell.strip().strip("`") for cell in row.split(" | ")) for row in rows]


def test_every_setting_is_in_the_reference() -> None:
    """The settings of the README are those of the service, with their defaults and meanings."""
    assert _table("Settings") == [
        (entry.name, entry.default or "must be given", entry.meaning.replace("|", "or")) for entry in reference()
    ]


def test_every_command_is_in_the_reference() -> None:
    """The commands of the README are exactly those of the command line."""
    commands = [found for name in COMMANDS for found in _commands(imported_command(name), f"guestlist {name}")]
    assert {row[0] for row in _table("Commands")} == set(commands)


def _commands(command: Any, name: str) -> list[str]:
    if not hasattr(command, "list_commands"):
        return [name]
    return [
        found
        for word in command.list_commands(None)
        for found in _commands(command.get_command(None, word), f"{name} {word}")
    ]


def test_every_endpoint_is_in_the_reference() -> None:
    """The endpoints of the README are exactly the routes of the application."""
    app = create_app(load_settings(environ={}))
    assert {row[0] for row in _table("Endpoints")} == {line for route in app.routes for line in _lines(route)}


def _lines(route: BaseRoute) -> list[str]:
    if isinstance(route, Mount):
        return [f"GET {route.path}/*"]
    if isinstance(route, WebSocketRoute):
        return [f"WS {route.path}"]
    assert isinstance(route, Route)
    return [f"{method} {route.path}" for method in sorted((route.methods or set()) - {"HEAD"})]
