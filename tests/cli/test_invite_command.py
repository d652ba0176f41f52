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
from service.invitations.invitee_list import InviteeRow, ListUnreadable, invitee_rows, list_in, read_file
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
async def test_columns_of_an_export_are_reported(database_url: str, tmp_path: Path) -> None:
    """The command names the column of addresses and the rows without an address. It refuses a column that no list can set,
    and invites nobody.
    """
    code, _, errors = await _guestlist("community", "create", "Demo", "--owner", "o@example.com", url=database_url)
    assert code == 0, errors
    rows = tmp_path / "list.csv"
    rows.write_text("email,send_at,role\na@example.com,2027-01-01,admin\n")
    code, out, errors = await _guestlist("invite", "Demo", "--csv", str(rows), url=database_url)
    assert (code, out) == (2, "")
    assert "has the column 'send_at', which no list can set; the columns email, role, message and locale were" in errors
    rows.write_text("Name,E-mail 1 - Label,E-mail 1 - Value\nAda,* Work,a@example.com ::: b@example.com\nCy,,\n")
    code, out, errors = await _guestlist("invite", "Demo", "--csv", str(rows), url=database_url)
    assert (code, "1 invited, 0 invited or members already, 0 refused." in out) == (0, True)
    assert errors.strip() == (
        "Addresses are read from the column 'E-mail 1 - Value'. Rows without an address that are left out: 1."
    )
    rows.write_text("email,phone\nb@example.com,1\n\u200bal\u200bice@example.com,2\nc@example.com,3,4\n")
    code, out, errors = await _guestlist("invite", "Demo", "--csv", str(rows), url=database_url)
    assert (code, "1 invited, 0 invited or members already, 2 refused." in out) == (1, True)
    assert "Addresses are read from the column 'email'. Columns that are not used: 'phone'." in errors
    assert "Row 3 (al\u200bice@example.com): The address has an invisible character (U+200B)" in errors
    assert "Row 4 (c@example.com,3,4): The row has more cells than columns" in errors


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


def _rows(path: Path) -> list[InviteeRow]:
    return invitee_rows(read_file(path).entries, role=Role.MEMBER)


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
    invitees = [row.invitee for row in _rows(path)]
    found = [(invitee.email, invitee.role, invitee.message) for invitee in invitees if invitee is not None]
    assert found == [("a@example.com", Role.MEMBER, None), ("b@example.com", Role.ADMIN, "Hi")]


async def test_a_row_is_numbered_by_the_line_on_which_it_begins(tmp_path: Path) -> None:
    """A message of several lines does not change its row's number. It shifts the numbers of later rows by its lines."""
    path = tmp_path / "list.csv"
    path.write_text('email,role,message\na@example.com,,"one\ntwo\nthree"\n\nb@example.com,king,\n')
    assert [row.line for row in _rows(path)] == [2, 6]


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
        read_file(path)
    assert words in str(refused.value)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_pasted_lists_are_read(case: ListCase, tmp_path: Path) -> None:
    """Each list gives the rows that the console shows for it."""
    path = tmp_path / "list.csv"
    path.write_bytes(case.text.encode())
    found = [(row.line, row.email, row.invitee) for row in _rows(path)]
    if case.notes is not None:
        read = read_file(path)
        assert (read.column, tuple(read.unused), read.left_out) == case.notes
    assert found == [
        (
            row.line,
            row.email,
            None
            if row.fault or (row.role or "member").upper() not in Role.__members__
            else Invitee(row.email, Role((row.role or "member").upper()), row.message or None, row.locale or None),
        )
        for row in case.rows
    ]


async def test_files_of_windows_are_read(tmp_path: Path) -> None:
    """A list in Windows-1252, in which spreadsheets save CSV on Windows."""
    path = tmp_path / "list.csv"
    path.write_bytes("E-Mail;Nachricht\r\nzoe@example.com;Schön, daß Sie kommen – bis „bald“\r\n".encode("cp1252"))
    invitees = [row.invitee for row in _rows(path)]
    assert [invitee and invitee.message for invitee in invitees] == ["Schön, daß Sie kommen – bis „bald“"]


_CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('",;\t\n<>@ '), max_size=20)


@given(st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=5))
def test_quoted_cells_are_read_as_they_were_written(messages: list[tuple[str, str]]) -> None:
    """RFC 4180: every table that Python's csv writes is read with the same cells, apart from blanks around them."""
    table = io.StringIO()
    writer = csv.writer(table, quoting=csv.QUOTE_ALL)
    writer.writerow(["name", "email", "message"])
    writer.writerows([name, "ada@example.com", message] for name, message in messages)
    found = [entry.message for entry in list_in(table.getvalue()).entries]
    edges = re.compile(r"[\s\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")
    assert [edges.sub("", message) for message in found] == [
        edges.sub("", unguarded(message.replace("\r", "\n"))) for _, message in messages
    ]


def test_a_hostile_list_takes_linear_time() -> None:
    """Long runs of quotation marks, brackets, blanks and separators are read in seconds."""
    for text in (
        " " * 200_000 + "a" + " " * 200_000 + "b",
        '"' * 200_000,
        '"a\n' * 50_000,
        "<" * 200_000,
        "a <b@c> " * 25_000 + "!",
        '"a" , ' * 30_000 + '"b" c',
    ):
        began = time.process_time()
        list_in(text)
        assert time.process_time() - began < 5
