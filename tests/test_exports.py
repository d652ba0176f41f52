"""Exports for admins: the rows of the API, in cells that no spreadsheet executes."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.csv_cells import unguarded
from service.exports import csv_line
from service.invitations.invitee_list import invitee_rows, read_file
from service.models import Invitation, Role
from service.tokens import new_id
from tests.accounts.test_access_tokens import CREATE
from tests.cli.test_invite_command import _guestlist
from tests.support.members import invite_and_join, join_owner
from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def test_admins_download_the_rows_of_the_api(service: Service) -> None:
    """Every invitation and event is a line, over several pages. Members, strangers and unknown exports receive 404."""
    async with service.browser() as owner, service.browser() as guest, service.browser() as stranger:
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, guest, "guest@example.com")
        await owner.invite(community, "more@example.com", message="=1+1")
        await Invitation.bulk_create(
            Invitation(
                id=new_id("inv"), community_id=community, email=f"filler{number}@example.com", role="MEMBER",
                created_at=service.clock(), expires_at=service.clock.time.replace(year=2099),
            )
            for number in range(600)
        )  # fmt: skip
        found = await owner.client.get(f"/export/{community}/invitations.csv")
        assert found.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(found.text)))
        assert len({row["id"] for row in rows}) == 603
        more = next(row for row in rows if row["email"] == "more@example.com")
        assert (more["status"], more["message"], more["inviter"]) == ("PENDING", "'=1+1", "owner@example.com")
        log = await owner.client.get(f"/export/{community}/audit.csv")
        kinds = [row["kind"] for row in csv.DictReader(io.StringIO(log.text))]
        assert (kinds[0], kinds[-1]) == ("invitation.created", "community.created")
        token_input = {"name": "Backup", "scopes": ["READ"], "communityIds": [community]}
        token = (await owner.ask(CREATE, input=token_input))["createAccessToken"]["token"]
        bearer = {"authorization": f"Bearer {token}"}
        assert (await stranger.client.get(f"/export/{community}/audit.csv", headers=bearer)).status_code == 200
        for browser, path in ((guest, community), (stranger, community), (owner, "com_unknown")):
            assert (await browser.client.get(f"/export/{path}/invitations.csv")).status_code == 404
        assert (await owner.client.get(f"/export/{community}/members.csv")).status_code == 404


INVITATIONS = """query($id: ID!, $filter: InvitationFilter) { community(id: $id) {
  invitations(filter: $filter, first: 100) { nodes { id } } } }"""
LOG = """query($id: ID!, $filter: AuditFilter) { community(id: $id) { auditLog(filter: $filter, first: 100) { nodes { id } } } }"""


async def test_exports_have_the_rows_of_the_filter(service: Service) -> None:
    """Each filter of the API, as parameters of the export, selects the same rows in the same order."""
    async with service.browser() as owner, service.browser() as guest:
        community = await join_owner(service, owner)
        await invite_and_join(service, owner, guest, "guest@example.com", role="ADMIN")
        service.clock.advance(minutes=5)
        middle = service.clock().isoformat()
        service.clock.advance(minutes=5)
        revoked = await owner.invite(community, "re+voked_x@example.com", message="one\ntwo")
        await owner.do("revokeInvite", invitationId=revoked["invitation"]["id"])
        await owner.invite(community, "more@other.example")
        viewer = (await owner.ask("{ viewer { member { id } } }"))["viewer"]["member"]["id"]
        cases: list[tuple[str, str, list[dict[str, Any]]]] = [
            ("invitations", INVITATIONS, [
                {}, {"statuses": ["PENDING", "REVOKED"]}, {"statuses": ["REVOKED"], "deliveries": ["CANCELLED"]},
                {"roles": ["ADMIN", "OWNER"], "createdBefore": middle}, {"emailContains": "D_X@EXAMPLE"},
                {"emailContains": "+"}, {"createdAfter": middle, "emailContains": "other"},
            ]),
            ("auditLog", LOG, [
                {"kinds": ["invitation.revoked", "membership.joined"]}, {"actorId": viewer}, {"after": middle},
                {"actorId": viewer, "kinds": ["invitation.created"], "before": middle},
            ]),
        ]  # fmt: skip
        for what, query, filters in cases:
            path = f"/export/{community}/{'audit' if what == 'auditLog' else what}.csv"
            everything = (await owner.ask(query, id=community))["community"][what]["nodes"]
            for conditions in filters:
                found = await owner.client.get(path, params=conditions)
                rows = [row["id"] for row in csv.DictReader(io.StringIO(found.text))]
                nodes = (await owner.ask(query, id=community, filter=conditions))["community"][what]["nodes"]
                assert rows == [node["id"] for node in nodes], conditions
                assert (0 < len(rows) < len(everything)) == bool(conditions), conditions


async def test_a_wrong_filter_exports_nothing(service: Service) -> None:
    """Unknown parameters and wrong values get 400 and a sentence in the reader's language. Others than admins get 404."""
    async with service.browser() as owner, service.browser() as stranger:
        community = await join_owner(service, owner)
        for path, words in (
            ("invitations.csv?status=PENDING", "one of these was expected: statuses, deliveries, roles"),
            ("invitations.csv?kinds=invitation.created", "no such parameter"),
            ("invitations.csv?statuses=PENDING,REVOKED", "one of these was expected: PENDING, ACCEPTED"),
            ("invitations.csv?statuses=", "statuses has an unknown value"),
            ("invitations.csv?emailContains=", "emailContains is empty"),
            ("invitations.csv?emailContains=a&emailContains=b", "more than once"),
            ("invitations.csv?createdAfter=tomorrow", "createdAfter is no instant"),
            ("invitations.csv?createdAfter=2026-01-31", "no offset from UTC"),
            ("invitations.csv?createdBefore=9999-12-31T23:59:59Z", "out of reach"),
            ("audit.csv?statuses=PENDING", "one of these was expected: kinds, actorId, after, before"),
            ("audit.csv?kinds=%00", "no kind of event"),
            ("audit.csv?after=2026-02-01T00:00:00Z&before=2026-01-01T00:00:00Z", "not earlier"),
        ):
            refused = await owner.client.get(f"/export/{community}/{path}")
            assert (refused.status_code, words in refused.text) == (400, True), (path, refused.text)
            assert (await stranger.client.get(f"/export/{community}/{path}")).status_code == 404
        german = {"accept-language": "de"}
        refused = await owner.client.get(f"/export/{community}/audit.csv?before=x", headers=german)
        assert refused.text.startswith("before ist kein Zeitpunkt;")


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x", '="a";"b"'],
)
def test_no_cell_is_a_formula(text: str) -> None:
    """A cell that starts like a formula gets an apostrophe. Other text is unchanged."""
    guarded, other = next(csv.reader(io.StringIO(csv_line([text, "a=1"]), newline="")))
    assert (guarded.startswith("'"), other) == (True, "a=1")
    assert guarded.replace("'", "") == text


_PIECES = [
    "=",
    "+",
    "-",
    "@",
    "\uff1d",
    ";",
    ",",
    "\t",
    "\n",
    "\r",
    '"',
    "'",
    " ",
    "a",
    "1",
    "\u2028",
    "cmd|' /C x'!A0",
]


@given(st.lists(st.lists(st.sampled_from(_PIECES), max_size=8).map("".join), min_size=1, max_size=4))
@example(["a;=1+1", '";""=1"', "x\t@SUM(A1)", "two\n=1", " ; -1"])
def test_no_split_of_a_line_makes_a_formula(cells: list[str]) -> None:
    """H193: each field is quoted. Split at commas, semicolons or tabs, with and without regard to quotation marks, no
    field starts with a formula. The cells are read back unchanged.
    """
    written = csv_line(cells)
    assert written.startswith('"')
    assert written.endswith('"\r\n')
    (read,) = csv.reader(io.StringIO(written, newline=""), strict=True)
    assert [unguarded(cell) for cell in read] == cells
    for mark in ",;\t":
        fields = [field for row in csv.reader(io.StringIO(written, newline=""), delimiter=mark) for field in row]
        fields += re.split(f"[{mark}\r\n]", written) if mark != "," else []
        assert [field for field in fields if field.strip(' "\t\r\n').startswith(_FORMULAS)] == []


_FORMULAS = ("=", "+", "-", "@", "\uff1d")


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_exported_list_can_be_invited(service: Service, tmp_path: Path) -> None:
    """H193: guarded cells are read back unchanged, also by `guestlist invite --csv`."""
    message = "=1+1;=2\n- one\n\t@two '=three"
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        for email in ("+tag@example.com", "=eq@example.com", "'+quoted@example.com", "o'neil@example.com"):
            assert (await owner.invite(community, email, message=message))["__typename"] == "InviteMemberSuccess"
        exported = (await owner.client.get(f"/export/{community}/invitations.csv")).text
    (tmp_path / "list.csv").write_bytes(exported.encode())
    entries = read_file(tmp_path / "list.csv").entries
    found = [row.invitee for row in invitee_rows(entries, role=Role.MEMBER)]
    stored = await Invitation.all().order_by("created_at", "id").values_list("email", "message")
    assert sorted((row.email, row.message) for row in found if row and row.message) == sorted(
        (email, message) for email, message in stored if message
    )
    assert "\"'=1+1;'=2\n'- one\n\t'@two '=three\"" in exported


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_operators_export_on_the_command_line(database_url: str, tmp_path: Path) -> None:
    """`guestlist export` writes a header and the rows. An unknown export is refused with a sentence, and an existing
    file is replaced only by a complete one.
    """
    await _guestlist("community", "create", "Demo", "--owner", "o@example.com", url=database_url)
    code, out, _ = await _guestlist("export", "invitations", "Demo", url=database_url)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (code, [row["email"] for row in rows]) == (0, ["o@example.com"])
    code, out, _ = await _guestlist("export", "audit", "Demo", url=database_url)
    assert (code, "invitation.created" in out) == (0, True)
    for arguments, status, words in (
        (("export", "members", "Demo"), 2, "cannot be exported"),
        (("export", "audit", "Nowhere"), 1, "no community"),
    ):
        code, _, said = await _guestlist(*arguments, url=database_url)
        assert (code, words in said) == (status, True), said
    file = tmp_path / "audit.csv"
    file.write_text("yesterday's")
    code, _, _ = await _guestlist("export", "audit", "Nowhere", "--to", str(file), url=database_url)
    assert (code, file.read_text(), list(tmp_path.glob("audit*"))) == (1, "yesterday's", [file])
    code, _, _ = await _guestlist("export", "audit", "Demo", "--to", str(file), url=database_url)
    assert (code, "invitation.created" in file.read_text(), list(tmp_path.glob("audit*"))) == (0, True, [file])
    code, _, said = await _guestlist(
        "export", "audit", "Demo", "--to", str(tmp_path / "no" / "x.csv"), url=database_url
    )
    assert (code, "cannot be written" in said) == (2, True)
