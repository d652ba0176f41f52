"""`guestlist invite`: realistic lists, the report for each refused row, and repeated runs."""

import asyncio
import csv
import io
import re
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.csv_cells import unguarded
from service.invitations.invite import Invitee
from service.invitations.invitee_list import ListUnreadable, entries_in, read_list
from service.models import Invitation, MailOrder, Role
from tests.conftest import Serve
from tests.support.invitee_lists import CASES, ListCase
from tests.support.members import invite_and_join, join_owner
from tests.support.service import TestClock

pytestmark = pytest.mark.anyio


async def _guestlist(*arguments: str, url: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service.cli", *arguments,
        env={"GUESTLIST_DATABASE_URL": url, "PATH": "", "COLUMNS": "300"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_list_is_invited_once(database_url: str, tmp_path: Path) -> None:
    """The command invites valid rows and reports each refused row with its number and reason. A second run sends no
    invitation.
    """
    code, _, errors = await _guestlist("community", "create", "Demo", "--owner", "o@example.com", url=database_url)
    assert code == 0, errors
    rows = tmp_path / "list.csv"
    rows.write_text(
        "email,role,message\na@example.com,,Come in\nb@example.com,Admin\nno address,\nA@Example.com,\nc@example.com,king\n"
    )
    code, out, errors = await _guestlist("invite", "demo", "--csv", str(rows), url=database_url)
    assert code == 1
    assert "2 invited, 1 invited or members already, 2 refused." in out
    assert "Row 4 (no address): This is not an email address" in errors
    assert "Row 6 (c@example.com): 'king' is no role" in errors
    code, out, _ = await _guestlist("invite", "Demo", "a@example.com", "b@example.com", url=database_url)
    assert (code, "0 invited, 2 invited or members already, 0 refused." in out) == (0, True)
    code, out, _ = await _guestlist("invite", "Demo", "d@example.com", "--role", "owner", url=database_url)
    assert (code, "1 invited" in out) == (0, True)


async def test_a_repeated_list_sends_no_second_mail(serve: Serve, clock: TestClock, tmp_path: Path) -> None:
    """A repeated list sends no mail to invitees who declined, were revoked, expired or left. --reinvite-closed and
    manual invitations do.
    """
    rows = tmp_path / "list.csv"
    rows.write_text(
        "declined@example.com\nrevoked@example.com\nLate@example.com\nleft@example.com\nguest@example.com\n"
    )
    clock.advance(days=-20)
    async with serve() as service, AsyncExitStack() as stack:
        owner, guest, leaver, decliner = [await stack.enter_async_context(service.browser()) for _ in range(4)]
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, guest, "guest@example.com")
        membership_id = await invite_and_join(service, owner, leaver, "left@example.com")
        assert (await leaver.do("removeMember", membershipId=membership_id))["__typename"] == "RemoveMemberSuccess"
        ids = [
            (await owner.invite(community, f"{name}@example.com"))["invitation"]["id"]
            for name in ("declined", "revoked", "late")
        ]
        token = await service.token_for("declined@example.com")
        assert (await decliner.do("declineInvite", token=token))["__typename"] == "DeclineInviteSuccess"
        assert (await owner.do("revokeInvite", invitationId=ids[1]))["__typename"] == "RevokeInviteSuccess"

        async def run(*arguments: str) -> list[str]:
            before = await MailOrder.all().count()
            code, out, errors = await _guestlist(
                "invite", "demo", *arguments, url=service.settings.database_url.get_secret_value()
            )
            assert (code, errors.strip()) == (0, "")
            assert f"{await MailOrder.all().count() - before} invited," in out
            return out.splitlines()

        assert await run("--csv", str(rows)) == [
            "0 invited, 5 invited or members already, 0 refused.",
            "Of those invited before, 1 accepted, 1 declined, 1 revoked, 1 expired; --reinvite-closed invites them again unless they are members.",
        ]  # fmt: skip
        assert (await run("left@example.com", "guest@example.com"))[0].startswith("1 invited, 1 invited or")
        assert (await run("--csv", str(rows), "--reinvite-closed"))[0].startswith(
            "3 invited, 2 invited or members already"
        )
        assert (await run("--csv", str(rows), "--reinvite-closed")) == [
            "0 invited, 5 invited or members already, 0 refused."
        ]
        late = await Invitation.filter(email="late@example.com").order_by("created_at")
        assert [invitation.superseded_at is None for invitation in late] == [False, True]


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_wrong_usage_reports_the_expected_usage(database_url: str, tmp_path: Path) -> None:
    """Neither addresses nor a file, both, a missing file, a wrong role and an unknown community."""
    missing = str(tmp_path / "missing.csv")
    for arguments, code, words in (
        (("invite", "Demo"), 2, "either addresses or --csv"),
        (("invite", "Demo", "a@example.com", "--csv", missing), 2, "either addresses or --csv"),
        (("invite", "Demo", "--csv", missing), 2, "cannot be read"),
        (("invite", "Demo", "a@example.com", "--role", "king"), 2, "is no role"),
        (("invite", "Demo", "a@example.com"), 1, "no community with the name or id Demo"),
    ):
        found, _, errors = await _guestlist(*arguments, url=database_url)
        assert (found, words in errors) == (code, True), errors


@pytest.mark.parametrize(
    "content",
    [
        b"a@example.com\nb@example.com,admin,Hi",
        b"E-Mail,Role,Message\r\na@example.com,,\r\nb@example.com,ADMIN,Hi\r\n",
        '\ufeffEmail;Role;Message\r\na@example.com;;\r\nb@example.com;admin;"Hi"\r\n'.encode(),
        "email\trole\tmessage\na@example.com\t\t\nb@example.com\tadmin\tHi\n".encode("utf-16"),
        b"message,name,email,role\n,Ann,a@example.com,\nHi,Bob,b@example.com,admin\n",
        b"sep=;\r\nemail;role;message\r\na@example.com;;\r\nb@example.com;admin;Hi\r\n",
        b"a@example.com\nb@example.com;admin;Hi\n",
    ],
)
async def test_spreadsheet_exports_are_read(content: bytes, tmp_path: Path) -> None:
    """With or without a header, a byte order mark, semicolons, tabs, UTF-16 and columns in any order."""
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    invitees = [row.invitee for row in read_list(path, role=Role.MEMBER)]
    found = [(invitee.email, invitee.role, invitee.message) for invitee in invitees if invitee is not None]
    assert found == [("a@example.com", Role.MEMBER, None), ("b@example.com", Role.ADMIN, "Hi")]


async def test_a_row_is_numbered_by_the_line_on_which_it_begins(tmp_path: Path) -> None:
    """A message of several lines does not change its row's number. It shifts the numbers of later rows by its lines."""
    path = tmp_path / "list.csv"
    path.write_text('email,role,message\na@example.com,,"one\ntwo\nthree"\n\nb@example.com,king,\n')
    assert [row.line for row in read_list(path, role=Role.MEMBER)] == [2, 6]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no rows"),
        (b"\n ,\n", "no rows"),
        (b"email,role\n", "no rows"),
        (b"PK\x03\x04\0\0\0\0", "no text"),
        (b"a@example.com\n\x81\x8d", "no text"),
    ],
)
async def test_a_broken_file_is_refused_with_a_reason(content: bytes, words: str, tmp_path: Path) -> None:
    """An empty file, a header alone, a spreadsheet's binary format, and bytes of no supported encoding."""
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(ListUnreadable) as refused:
        read_list(path, role=Role.MEMBER)
    assert words in str(refused.value)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_pasted_lists_are_read(case: ListCase, tmp_path: Path) -> None:
    """Each list gives the rows that the console shows for it."""
    path = tmp_path / "list.csv"
    path.write_bytes(case.text.encode())
    found = [(row.line, row.email, row.invitee) for row in read_list(path, role=Role.MEMBER)]
    assert found == [
        (
            row.line,
            row.email,
            None
            if row.unreadable
            else Invitee(row.email, Role((row.role or "member").upper()), row.message or None, row.locale or None),
        )
        for row in case.rows
    ]


async def test_files_of_windows_are_read(tmp_path: Path) -> None:
    """A list in Windows-1252, in which spreadsheets save CSV on Windows."""
    path = tmp_path / "list.csv"
    path.write_bytes("E-Mail;Nachricht\r\nzoe@example.com;Schön, daß Sie kommen – bis „bald“\r\n".encode("cp1252"))
    invitees = [row.invitee for row in read_list(path, role=Role.MEMBER)]
    assert [invitee and invitee.message for invitee in invitees] == ["Schön, daß Sie kommen – bis „bald“"]


_CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('",;\t\n<>@ '), max_size=20)


@given(st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=5))
def test_quoted_cells_are_read_as_they_were_written(messages: list[tuple[str, str]]) -> None:
    """RFC 4180: every table that Python's csv writes is read with the same cells, apart from blanks around them."""
    table = io.StringIO()
    writer = csv.writer(table, quoting=csv.QUOTE_ALL)
    writer.writerow(["name", "email", "message"])
    writer.writerows([name, "ada@example.com", message] for name, message in messages)
    found = [entry.message for entry in entries_in(table.getvalue())]
    edges = re.compile(r"[\s\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")
    assert [edges.sub("", message) for message in found] == [
        edges.sub("", unguarded(message.replace("\r", "\n"))) for _, message in messages
    ]


def test_a_hostile_list_takes_linear_time() -> None:
    """Long runs of quotation marks, brackets, blanks and separators are read in seconds."""
    for text in ('"' * 200_000, '"a\n' * 50_000, "<" * 200_000, "a <b@c> " * 25_000 + "!", '"a" , ' * 30_000 + '"b" c'):
        began = time.process_time()
        entries_in(text)
        assert time.process_time() - began < 5
