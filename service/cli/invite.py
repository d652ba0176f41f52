"""`guestlist invite`: one address, or a list."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import Progress

from service.cli.shared import (
    ConfigOption,
    connected,
    err,
    out,
    refuse,
    run,
    settings_or_exit,
)
from service.clock import system_clock
from service.communities.communities import find_community_id
from service.communities.members import AlreadyMember
from service.invitation_status import Status
from service.invitations.errors import AlreadyInvited
from service.invitations.invite import Invitee
from service.invitations.invite_many import invite_many_as_operator
from service.invitations.invitee_list import InviteeList, InviteeRow, ListUnreadable, invitee_rows, read_file
from service.models import Role
from service.settings import Settings, load_settings

_PORTION: Final = 200  # rows of one transaction

app = typer.Typer()


@app.command()
def invite(
    community: Annotated[str, typer.Argument(help="The community's id, or its name.")],
    emails: Annotated[list[str] | None, typer.Argument(help="The addresses to invite.")] = None,
    *,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv", help="A list: addresses, a table with the columns email, role, message, locale, or an export."
        ),
    ] = None,
    role: Annotated[str, typer.Option(help="The role for rows without one: member, admin or owner.")] = "member",
    reinvite_closed: Annotated[
        bool,
        typer.Option("--reinvite-closed", help="Also invite the rows of a file whose earlier invitation is closed."),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Invites addresses or a list. Running it again invites each address once.

    A file invites the addresses that never had an invitation to the community; --reinvite-closed also invites those who
    declined, were revoked, let it expire, or left. Addresses on the command line are invited unless they are members or
    have a pending invitation.
    """
    settings = settings_or_exit(lambda: load_settings(config=config))
    if (csv is None) == (not emails):
        refuse("Give either addresses or --csv FILE.")
    try:
        rows = _invitees_of(emails or [], csv, role)
    except ListUnreadable as error:
        refuse(str(error))
    refused = run(_invite_all(settings, community, rows, reinvite_closed=reinvite_closed or csv is None))
    if refused:
        raise typer.Exit(1)


def _invitees_of(emails: list[str], csv: Path | None, role: str) -> list[InviteeRow]:
    if role.upper() not in Role.__members__:
        refuse(f"--role: {role} is no role; one of {', '.join(known.lower() for known in Role)} was expected.")
    default_role = Role(role.upper())
    if csv is not None:
        found = read_file(csv)
        _report_columns(found)
        return invitee_rows(found.entries, role=default_role)
    return [InviteeRow(line, email, Invitee(email, default_role)) for line, email in enumerate(emails, start=1)]


def _report_columns(found: InviteeList) -> None:
    """Reports which columns of a header are used, where the table has others than those of a list."""
    notes = []
    if found.is_export or found.unused:
        notes.append(f"Addresses are read from the column {found.column!r}.")
    if found.unused:
        notes.append(f"Columns that are not used: {', '.join(map(repr, found.unused))}.")
    if found.left_out:
        notes.append(f"Rows without an address that are left out: {found.left_out}.")
    if notes:
        err.print(" ".join(notes), markup=False, highlight=False)


async def _invite_all(settings: Settings, community: str, rows: list[InviteeRow], *, reinvite_closed: bool) -> int:
    """Invites in portions, with a progress bar. Returns the number of refused rows."""
    tally: Counter[str] = Counter()
    async with connected(settings):
        community_id = await find_community_id(community)
        with Progress(console=err, transient=True) as progress:
            task = progress.add_task("Inviting", total=len(rows))
            for start in range(0, len(rows), _PORTION):
                portion = rows[start : start + _PORTION]
                await _invite_portion(settings, community_id, portion, tally, reinvite_closed=reinvite_closed)
                progress.advance(task, len(portion))
    out.print(
        f"{tally['invited']} invited, {tally['known']} invited or members already, {tally['refused']} refused."
        + (" The worker sends the mails." if tally["invited"] else ""),
        highlight=False,
    )
    closed = [
        f"{tally[status]} {status.lower()}" for status in Status if tally[status] and status is not Status.PENDING
    ]
    if closed:
        out.print(
            f"Of those invited before, {', '.join(closed)}; --reinvite-closed invites them again unless they are members.",
            highlight=False,
        )
    return tally["refused"]


async def _invite_portion(
    settings: Settings, community_id: str, portion: list[InviteeRow], tally: Counter[str], *, reinvite_closed: bool
) -> None:
    readable = [row for row in portion if row.invitee is not None]
    invitees = [row.invitee for row in readable if row.invitee is not None]
    outcomes = []
    if invitees:
        outcomes = await invite_many_as_operator(
            community_id, invitees, reinvite_closed=reinvite_closed, now=system_clock(), settings=settings
        )
    problems = {row.line: row.problem for row in portion if row.invitee is None}
    for row, outcome in zip(readable, outcomes, strict=True):
        if outcome.error is None:
            tally["invited"] += 1
        elif isinstance(outcome.error, AlreadyInvited | AlreadyMember):
            tally["known"] += 1
            if isinstance(outcome.error, AlreadyInvited):
                tally[outcome.error.invitation.status] += 1
        else:
            problems[row.line] = str(outcome.error)
    tally["refused"] += len(problems)
    for row in portion:
        if row.line in problems:
            err.print(
                f"Row {row.line} ({row.email or 'no address'}): {problems[row.line]}", markup=False, highlight=False
            )
