"""`guestlist export` and `guestlist erase`: a community's data, and a person's."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

from service import exports
from service.addresses import Address
from service.audit_log.log import AuditFilter
from service.cli.shared import (
    ConfigOption,
    connected,
    err,
    out,
    refuse,
    run,
    settings_or_exit,
    stored_address,
)
from service.clock import system_clock
from service.communities.access import operator_access
from service.communities.communities import find_community_id
from service.exports import Export
from service.invitations.search import InvitationFilter
from service.retention import erasure
from service.retention.erasure import Erasure
from service.settings import Settings, load_settings

app = typer.Typer()


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="invitations or audit.")],
    community: Annotated[str, typer.Argument(help="The community's id, or its name.")],
    *,
    to: Annotated[Path | None, typer.Option(help="The file; the standard output by default.")] = None,
    config: ConfigOption = None,
) -> None:
    """Writes a community's invitations or audit log as CSV, safe to open in a spreadsheet."""
    settings = settings_or_exit(lambda: load_settings(config=config))
    if what not in {known.value for known in Export}:
        refuse(f"{what} cannot be exported; {' or '.join(Export)} was expected.")
    if to is None:
        run(_export(settings, Export(what), community, sys.stdout))
        return
    unfinished = to.with_name(f"{to.name}.{os.getpid()}.part")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            run(_export(settings, Export(what), community, file))
        unfinished.replace(to)
    except OSError as error:
        refuse(f"{to} cannot be written: {error.strerror}.")
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


async def _export(settings: Settings, what: Export, community: str, file: TextIO) -> None:
    async with connected(settings):
        community_id = await find_community_id(community)
        lines = exports.export(
            InvitationFilter() if what is Export.INVITATIONS else AuditFilter(),
            lambda: operator_access(community_id, settings),
            now=system_clock(),
            settings=settings,
        )
        async for text in lines:
            file.write(text)


@app.command()
def erase(
    email: Annotated[str, typer.Argument(help="The person's address.")],
    *,
    even_last_owner: Annotated[
        bool, typer.Option("--even-last-owner", help="Erase even the last owner of a community.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Erases a person's data and keeps the audit's facts."""
    settings, address = settings_or_exit(lambda: load_settings(config=config)), stored_address(email)
    erased = run(_erase(settings, address, even_last_owner=even_last_owner))
    if erased.is_empty:
        err.print(
            f"Nothing was erased: no account and no invitation has the address {address}.",
            markup=False,
            highlight=False,
        )
        raise typer.Exit(1)
    out.print(
        f"Erased: {erased.accounts} accounts, {erased.memberships} memberships, {erased.invitations} invitations."
    )
    if erased.stays_suppressed or erased.stays_blocked:
        out.print(
            "The address itself stays on the list of suppressed addresses or in a block, so that it gets no mail."
            " See `guestlist suppression`."
        )


async def _erase(settings: Settings, address: Address, *, even_last_owner: bool) -> Erasure:
    async with connected(settings):
        return await erasure.erase(address, even_last_owner=even_last_owner, now=system_clock())
