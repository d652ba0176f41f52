"""The command line. Exit status 0 done, 1 the work failed, 2 wrong usage or settings."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO, TypeVar

import typer
from rich.console import Console

from service import database, logs
from service.addresses import Address, AddressInvalid, as_stored, canonical
from service.clock import system_clock
from service.communities.access import AlreadyMember
from service.errors import ExpectedError, InvalidInput
from service.invitations.errors import AlreadyInvited
from service.mail.errors import MailDeferred, MailRefused, MailSettingsInvalid, MailUnsafe
from service.settings import Settings, SettingsInvalid, load_settings
from service.text import NAME, language_tag, validated_text

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from service.exports import Export
    from service.invitations.invitee_csv import ListedInvitee
    from service.mail.blocks import BlockView
    from service.mail.senders import MailSender
    from service.mail.suppression import Removal, SuppressionView
    from service.retention.erasure import Erasure

Result = TypeVar("Result")

_PORTION = 200  # rows invited at once: each portion stands, whatever becomes of the next

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
community_app = typer.Typer(help="Communities, as the operator makes them.", no_args_is_help=True)
identity_app = typer.Typer(help="The sign-ins that open people's accounts.", no_args_is_help=True)
app.add_typer(community_app, name="community")
app.add_typer(identity_app, name="identity")
suppression_app = typer.Typer(help="Addresses that are not written to.", no_args_is_help=True)
app.add_typer(suppression_app, name="suppression")
mail_app = typer.Typer(help="The mails themselves.", no_args_is_help=True)
app.add_typer(mail_app, name="mail")

# Lines are as long as what they say: terminals wrap them, and scripts and logs find each message whole.
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

PortOption = Annotated[int, typer.Option(envvar="PORT", min=0, max=65_535, help="Where to listen.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="A TOML file with settings; the environment wins.", dir_okay=False)
]


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(version("guestlist"))
        raise typer.Exit


@app.callback()
def _guestlist(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Prints the version.")
    ] = False,
) -> None:
    """The command line. Exit status 0 done, 1 the work failed, 2 wrong usage or settings."""


def main() -> None:
    """The command `guestlist`."""
    app()


# ---------------------------------------------------------------------------------------------------------------- serving


@app.command()
def dev(
    *,
    config: ConfigOption = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: PortOption = 8000,
) -> None:
    """The whole service on one machine: SQLite, development OpenID Provider, mailbox page, demo community."""
    from service.dev import mode  # noqa: PLC0415 -- development exists in this command only

    settings = _settings(lambda: mode.development_settings(config, port=port))
    _refuse_taken(host, port)
    mail_waits = _work(_prepare_development(settings))
    development = mode.create_development_app(settings, clock=system_clock)
    out.print(f"Guestlist is on [bold]{settings.public_url}[/bold]")
    out.print(_next_step(settings, mail_waits=mail_waits))
    _serve(development, host=host, port=port)


def _next_step(settings: Settings, *, mail_waits: bool) -> str:
    from service.dev import mode  # noqa: PLC0415

    if not mail_waits:
        return f"{mode.DEMO} has its owner already: sign in there as {mode.OWNER}."
    if settings.mail_url is not None and settings.mail_url.get_secret_value().startswith("mailbox:"):
        return f"The first owner's mail waits in the mailbox: [bold]{settings.public_url}/dev/mailbox[/bold]"
    return f"The first owner's mail goes to {mode.OWNER}, through the mail service that GUESTLIST_MAIL_URL names."


async def _prepare_development(settings: Settings) -> bool:
    from service.dev import mode  # noqa: PLC0415

    url = settings.database_url.get_secret_value()
    async with _database(settings):
        await database.migrate(url)
        return await mode.prepare_demo(settings, now=system_clock())


@app.command()
def serve(
    *,
    config: ConfigOption = None,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: PortOption = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes; more than one needs PostgreSQL.")] = 1,
    with_worker: Annotated[bool, typer.Option("--with-worker", help="Deliver mail too.")] = False,
) -> None:
    """The service; with --with-worker it delivers mail too."""
    from service.cli import server  # noqa: PLC0415

    settings = _settings(lambda: load_settings(config=config))
    if settings.is_sqlite and workers > 1:
        _refuse(
            "SQLite serves one process. For --workers 2 and more, set GUESTLIST_DATABASE_URL to a PostgreSQL database."
        )
    if with_worker and settings.mail_url is None:
        _refuse("GUESTLIST_MAIL_URL is missing: --with-worker delivers mail, so it must know where to.")
    _refuse_unsendable(settings)
    _refuse_taken(host, port)
    for remark in _work(_remarks_before_serving(settings, with_worker=with_worker)):
        err.print(remark, markup=False, highlight=False)
    if with_worker:
        _work(_refuse_unsafe_mail(settings))
    server.hand_over(config, with_worker=with_worker)
    _serve("service.cli.server:make_app", host=host, port=port, workers=workers)


async def _remarks_before_serving(settings: Settings, *, with_worker: bool) -> list[str]:
    """What an operator may have forgotten; a database that does not answer is said before any process is started."""
    remarks = []
    async with _database(settings):
        if await database.pending(settings.database_url.get_secret_value()):
            remarks.append("The database is not up to date: run `guestlist migrate`.")
    if settings.is_sqlite and not with_worker:
        remarks.append("No mail leaves: on SQLite the service itself delivers, when it is started with --with-worker.")
    return remarks


def _refuse_taken(host: str, port: int) -> None:
    from service.cli.server import CannotListen, refuse_taken  # noqa: PLC0415 -- the web parts are for serving

    try:
        refuse_taken(host, port)
    except CannotListen as taken:
        _fail(str(taken))


def _serve(application: "Starlette | str", *, host: str, port: int, workers: int = 1) -> None:
    from service.cli.server import serve as run_server  # noqa: PLC0415

    if not run_server(application, host=host, port=port, workers=workers):
        _fail("Guestlist could not start; the log above says why.")


@app.command()
def worker(*, config: ConfigOption = None) -> None:
    """Delivers mail, and prunes what is over; any number of them, on PostgreSQL."""
    settings = _settings(lambda: load_settings(config=config))
    if settings.mail_url is None:
        _refuse("GUESTLIST_MAIL_URL is missing: the worker delivers mail, so it must know where to.")
    if settings.is_sqlite:
        _refuse(
            "SQLite serves one process, so a worker beside the service needs PostgreSQL: set GUESTLIST_DATABASE_URL,"
            " or let the service deliver with `guestlist serve --with-worker`."
        )
    _refuse_unsendable(settings)
    _work(_run_worker(settings))


async def _run_worker(settings: Settings) -> None:
    from service import changes  # noqa: PLC0415
    from service.delivery.worker import Worker  # noqa: PLC0415

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with _database(settings), _sender(settings) as sender:
        delivering = Worker(settings, sender, system_clock)
        await delivering.check()
        listening = asyncio.create_task(changes.listen(stopping))
        await delivering.run(stopping)
        await listening


# --------------------------------------------------------------------------------------------------------------- operating


@app.command()
def migrate(
    *,
    config: ConfigOption = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail where something differs.")] = False,
) -> None:
    """Brings the database up to date, safely from several places at once; --check fails on drift."""
    settings = _settings(lambda: load_settings(config=config))
    if check:
        _work(_check_migrations(settings))
        return
    for name in _work(_migrate(settings)):
        out.print(f"Applied {name}.")
    out.print("The database is up to date.")


async def _migrate(settings: Settings) -> list[str]:
    async with _database(settings):
        return await database.migrate(settings.database_url.get_secret_value())


async def _check_migrations(settings: Settings) -> None:
    from service.database import drift  # noqa: PLC0415 -- only this command and the doctor look for it

    url = settings.database_url.get_secret_value()
    async with _database(settings):
        findings = [f"Not applied yet: {name}." for name in await database.pending(url)]
        findings = findings or await drift.schema_drift(url)
    findings += [f"The models differ from the migrations: {change}." for change in await drift.model_drift(url)]
    for finding in findings:
        err.print(finding)
    if findings:
        raise typer.Exit(1)
    out.print("The database is as the migrations make it, and so are the models.")


@community_app.command("create")
def create_community(
    name: Annotated[str, typer.Argument(help="What the community is called.")],
    *,
    owner: Annotated[str, typer.Option(help="The email address of its first owner, who is invited.")],
    locale: Annotated[str | None, typer.Option(help="The language of its mails, such as de; else English.")] = None,
    config: ConfigOption = None,
) -> None:
    """A community, and the invitation to its first owner."""
    settings, address = _settings(lambda: load_settings(config=config)), _address(owner, "--owner: ")
    try:
        name, locale = validated_text(name, NAME), language_tag(locale)
    except InvalidInput as wrong:
        _refuse(f"{'--locale' if wrong.field == 'locale' else 'NAME'}: {wrong}")
    community_id = _work(_create_community(settings, name, address, locale))
    out.print(f"Created {name} ({community_id}). The mail to its owner is sent by the worker.")


async def _create_community(settings: Settings, name: str, owner: Address, locale: str | None) -> str:
    from service.invitations import operator  # noqa: PLC0415

    async with _database(settings):
        return await operator.create_community_as_operator(
            name, owner, locale=locale, now=system_clock(), settings=settings
        )


@identity_app.command("release")
def release_identity(
    email: Annotated[str, typer.Argument(help="The email address of the account.")], *, config: ConfigOption = None
) -> None:
    """Lets a person whose provider account was replaced sign in anew: ends their sign-ins, sessions and access tokens,
    and sends them a link.
    """
    settings = _settings(lambda: load_settings(config=config))
    address = _stored_address(email, "EMAIL: ")
    invited = _work(_release_identity(settings, address))
    out.print(
        "Their sign-ins, sessions and access tokens are ended."
        + (" The link to sign in anew is sent by the worker." if invited else " They are in no community: invite them.")
    )


async def _release_identity(settings: Settings, email: Address) -> bool:
    from service.invitations import operator  # noqa: PLC0415

    async with _database(settings):
        return await operator.release(email, now=system_clock(), settings=settings)


@suppression_app.command("list")
def list_suppressed(*, config: ConfigOption = None) -> None:
    """Every address that is not written to: the address, why, and since when; then the blocks, each with its community
    and its author.
    """
    settings = _settings(lambda: load_settings(config=config))
    suppressed, blocked = _work(_list_suppressed(settings))
    for row in suppressed:
        print(f"{row.email}\t{row.reason}\t{row.since.isoformat(timespec='seconds')}")
    for block in blocked:
        since = block.since.isoformat(timespec="seconds")
        print(f"{block.email}\tblocked\t{since}\t{block.community_name}\t{_MADE_BY[block.made_by]}")


_MADE_BY = {"link": "made by somebody with the link"}


async def _list_suppressed(settings: Settings) -> "tuple[list[SuppressionView], list[BlockView]]":
    from service.mail import blocks, suppression  # noqa: PLC0415

    async with _database(settings):
        return await suppression.list_all(), await blocks.list_all()


@suppression_app.command("remove")
def remove_suppressed(
    email: Annotated[str, typer.Argument(help="The address that may be written to again.")],
    *,
    config: ConfigOption = None,
) -> None:
    """Takes an address off the list, and off the mail service's list, and lifts every block of it."""
    settings, address = _settings(lambda: load_settings(config=config)), _stored_address(email)
    removed = _work(_remove_suppressed(settings, address))
    for community in removed.unblocked_by:
        out.print(f"Lifted the block: {community} can invite this address again.", markup=False, highlight=False)
    if removed.was_suppressed:
        out.print("This address is written to again.")
    elif not removed.unblocked_by:
        err.print("This address is on no list and blocked by no community; it is written to.")


async def _remove_suppressed(settings: Settings, address: Address) -> "Removal":
    from service.mail import suppression  # noqa: PLC0415

    async with _database(settings), _sender_if_any(settings) as sender:
        return await suppression.remove(address, sender=sender, now=system_clock())


@app.command()
def erase(
    email: Annotated[str, typer.Argument(help="The person's address.")],
    *,
    even_last_owner: Annotated[
        bool, typer.Option("--even-last-owner", help="Also where a community is left without an owner.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Removes a person's data, keeping the audit's facts."""
    settings, address = _settings(lambda: load_settings(config=config)), _stored_address(email)
    erased = _work(_erase(settings, address, even_last_owner=even_last_owner))
    out.print(
        f"Erased: {erased.accounts} accounts, {erased.memberships} memberships, {erased.invitations} invitations."
    )
    if erased.stays_suppressed or erased.stays_blocked:
        out.print(
            "The address itself stays where it keeps mail from being sent to it: on the list of addresses, or in a block."
            " See `guestlist suppression`."
        )


async def _erase(settings: Settings, address: Address, *, even_last_owner: bool) -> "Erasure":
    from service.retention import erasure  # noqa: PLC0415

    async with _database(settings):
        return await erasure.erase(address, even_last_owner=even_last_owner, now=system_clock())


@app.command()
def doctor(*, config: ConfigOption = None) -> None:
    """Checks settings, database, migrations, mail, providers, clock; says what to do about each finding."""
    from service.doctor import examine  # noqa: PLC0415

    settings = _settings(lambda: load_settings(config=config))
    examined = _work(examine(settings, system_clock))
    for name, findings in examined.items():
        out.print(f"{name}: {'look at this' if findings else 'well'}", markup=False, highlight=False)
        for finding in findings:
            out.print(f"  - {finding}", markup=False, highlight=False)
    if any(examined.values()):
        raise typer.Exit(1)


@mail_app.command("preview")
def preview_mails(
    folder: Annotated[Path, typer.Argument(help="Where to write them.", file_okay=False)] = Path("mail-preview"),
) -> None:
    """Writes every mail in every language to files."""
    from service.mail import preview  # noqa: PLC0415

    files = preview.write_all(folder, now=system_clock())
    out.print(f"Wrote {len(files)} files to {folder}.", markup=False, highlight=False)


@app.command()
def invite(
    community: Annotated[str, typer.Argument(help="The community's id, or its name.")],
    emails: Annotated[list[str] | None, typer.Argument(help="Whom to invite.")] = None,
    *,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="A file of rows: email[,role[,message]], with a header or without.")
    ] = None,
    role: Annotated[
        str, typer.Option(help="The role of those whose row names none: member, admin or owner.")
    ] = "member",
    anew: Annotated[
        bool, typer.Option("--anew", help="Of a file's rows, also invites those whose earlier invitation is closed.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Invites one person or a list of them; running it again invites nobody twice.

    A file invites those who never had an invitation to the community: not who declined, was revoked, let it expire, or
    left; --anew invites them too. Addresses on the command line are meant as they stand: only members and pending
    invitations are left alone.
    """
    from service.invitations.invitee_csv import ListUnreadable  # noqa: PLC0415 -- the parts of this command only

    settings = _settings(lambda: load_settings(config=config))
    if (csv is None) == (not emails):
        _refuse("Give either addresses or --csv FILE.")
    try:
        rows = _listed(emails or [], csv, role)
    except ListUnreadable as error:
        _refuse(str(error))
    refused = _work(_invite_all(settings, community, rows, anew=anew or csv is None))
    if refused:
        raise typer.Exit(1)


def _listed(emails: list[str], csv: Path | None, role: str) -> "list[ListedInvitee]":
    from service.invitations.invite_many import Invitee  # noqa: PLC0415
    from service.invitations.invitee_csv import ListedInvitee, read_list  # noqa: PLC0415
    from service.models import Role  # noqa: PLC0415

    if role.upper() not in Role.__members__:
        _refuse(f"--role: {role} is no role; one of {', '.join(known.lower() for known in Role)} was expected.")
    wanted = Role(role.upper())
    if csv is not None:
        return read_list(csv, role=wanted)
    return [ListedInvitee(line, email, Invitee(email, wanted)) for line, email in enumerate(emails, start=1)]


async def _invite_all(settings: Settings, community: str, rows: "list[ListedInvitee]", *, anew: bool) -> int:
    """Invites in portions, so that the bar moves; how many rows were refused."""
    from rich.progress import Progress  # noqa: PLC0415

    from service.communities import access as communities  # noqa: PLC0415
    from service.invitation_status import Status  # noqa: PLC0415

    tally: Counter[str] = Counter()
    async with _database(settings):
        community_id = await communities.find_by_name(community)
        with Progress(console=err, transient=True) as progress:
            task = progress.add_task("Inviting", total=len(rows))
            for start in range(0, len(rows), _PORTION):
                portion = rows[start : start + _PORTION]
                await _invite_portion(settings, community_id, portion, tally, anew=anew)
                progress.advance(task, len(portion))
    out.print(
        f"{tally['invited']} invited, {tally['known']} invited or members already, {tally['refused']} refused."
        + (" The mails are sent by the worker." if tally["invited"] else ""),
        highlight=False,
    )
    closed = [
        f"{tally[status]} {status.lower()}" for status in Status if tally[status] and status is not Status.PENDING
    ]
    if closed:
        out.print(
            f"Of those invited before, {', '.join(closed)}; --anew invites them again unless they are members.",
            highlight=False,
        )
    return tally["refused"]


async def _invite_portion(
    settings: Settings, community_id: str, portion: "list[ListedInvitee]", tally: Counter[str], *, anew: bool
) -> None:
    from service.invitations import invite_many as invite_many_module  # noqa: PLC0415

    readable = [row for row in portion if row.invitee is not None]
    invitees = [row.invitee for row in readable if row.invitee is not None]
    outcomes = []
    if invitees:
        outcomes = await invite_many_module.invite_many_as_operator(
            community_id, invitees, anew=anew, now=system_clock(), settings=settings
        )
    problems = {row.line: row.problem for row in portion if row.invitee is None}
    for row, outcome in zip(readable, outcomes, strict=True):
        if outcome.refused is None:
            tally["invited"] += 1
        elif isinstance(outcome.refused, AlreadyInvited | AlreadyMember):
            tally["known"] += 1
            if isinstance(outcome.refused, AlreadyInvited):
                tally[outcome.refused.invitation.status] += 1
        else:
            problems[row.line] = str(outcome.refused)
    tally["refused"] += len(problems)
    for row in portion:
        if row.line in problems:
            err.print(
                f"Row {row.line} ({row.email or 'no address'}): {problems[row.line]}", markup=False, highlight=False
            )


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="invitations or audit.")],
    community: Annotated[str, typer.Argument(help="The community's id, or its name.")],
    *,
    to: Annotated[Path | None, typer.Option(help="A file to write; the standard output without it.")] = None,
    config: ConfigOption = None,
) -> None:
    """A community's invitations or audit log as CSV, safe to open in a spreadsheet."""
    from service.exports import Export  # noqa: PLC0415

    settings = _settings(lambda: load_settings(config=config))
    if what not in {known.value for known in Export}:
        _refuse(f"{what} cannot be exported; {' or '.join(Export)} was expected.")
    if to is None:
        _work(_export(settings, Export(what), community, sys.stdout))
        return
    unfinished = to.with_name(f"{to.name}.{os.getpid()}.part")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            _work(_export(settings, Export(what), community, file))
        unfinished.replace(to)
    except OSError as error:
        _refuse(f"{to} cannot be written: {error.strerror}.")
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


async def _export(settings: Settings, what: "Export", community: str, file: TextIO) -> None:
    from service import exports  # noqa: PLC0415
    from service.communities import access as communities  # noqa: PLC0415

    async with _database(settings):
        community_id = await communities.find_by_name(community)
        lines = exports.export(
            what,
            lambda: communities.operator_access(community_id, settings),
            now=system_clock(),
            settings=settings,
        )
        async for text in lines:
            file.write(text)


@app.command()
def schema() -> None:
    """Prints the SDL."""
    from service.app import printed_schema  # noqa: PLC0415

    print(printed_schema(), end="")


# ----------------------------------------------------------------------------------------------------------------- shared


@contextlib.asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[None]:
    await database.connect(settings.database_url.get_secret_value())
    try:
        yield
    finally:
        await database.disconnect()


@contextlib.asynccontextmanager
async def _sender(settings: Settings) -> "AsyncIterator[MailSender]":
    from service.mail.senders import open_sender  # noqa: PLC0415 -- mail is for the commands that send

    sender = open_sender(settings)
    try:
        yield sender
    finally:
        await sender.close()


@contextlib.asynccontextmanager
async def _sender_if_any(settings: Settings) -> "AsyncIterator[MailSender | None]":
    if settings.mail_url is None:
        yield None
        return
    async with _sender(settings) as sender:
        yield sender


def _address(text: str, where: str = "") -> Address:
    """The address, or what is wrong with it and exit status 2."""
    try:
        return canonical(text)
    except AddressInvalid as error:
        _refuse(f"{where}{error}")


def _stored_address(text: str, where: str = "") -> Address:
    """The address of rows that exist, which may be older than today's rules."""
    try:
        return as_stored(text)
    except AddressInvalid as error:
        _refuse(f"{where}{error}")


def _settings(load: Callable[[], Settings]) -> Settings:
    """The settings, or every wrong one named and exit status 2."""
    try:
        settings = load()
    except SettingsInvalid as invalid:
        for finding in invalid.findings:
            err.print(str(finding), markup=False, highlight=False)
        raise typer.Exit(2) from None
    logs.configure(settings.log_level, settings.log_format)
    return settings


def _refuse_unsendable(settings: Settings) -> None:
    """Names what of MAIL_URL and MAIL_FROM cannot work, before anything starts."""
    from service.mail.errors import MailSettingsInvalid  # noqa: PLC0415 -- mail is for those who send it
    from service.mail.senders import open_sender  # noqa: PLC0415 -- mail is for those who send it

    if settings.mail_url is None:
        return
    try:
        asyncio.run(open_sender(settings).close())
    except MailSettingsInvalid as invalid:
        _refuse(str(invalid))


async def _refuse_unsafe_mail(settings: Settings) -> None:
    """Before any process serves: one that found this out itself could only die, and would be started again."""
    from service.mail.senders import refuse_unsafe  # noqa: PLC0415 -- the worker's parts are for those who deliver

    async with _sender(settings) as sender:
        refuse_unsafe(await sender.findings())


def _refuse(message: str) -> NoReturn:
    err.print(message, markup=False, highlight=False)
    raise typer.Exit(2)


def _fail(message: str) -> NoReturn:
    err.print(message, markup=False, highlight=False)
    raise typer.Exit(1)


def _work(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs it; what the operator can mend is said in words, with exit status 1."""
    try:
        return asyncio.run(work)
    except (
        ExpectedError,
        database.DatabaseUnavailable,
        MailDeferred,
        MailRefused,
        MailSettingsInvalid,
        MailUnsafe,
    ) as failed:
        _fail(str(failed))


if __name__ == "__main__":
    main()
