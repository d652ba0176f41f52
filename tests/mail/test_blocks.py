"""Blocks need only a link. So they are announced by mail, can be lifted, and do not name the invitee as their
author.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from service import database
from service.addresses import canonical
from service.mail import blocks, suppression
from service.mail.suppression import Reason
from service.retention import pruning
from service.retention.erasure import erase
from tests.support.members import join_owner
from tests.support.service import Browser, Service, http_client
from tests.test_secrets import log_lines  # noqa: F401 -- a fixture

pytestmark = pytest.mark.anyio

GUEST = "guest@example.com"
LIFT = {"lift": "yes"}
RESEND = """
mutation($input: ResendInviteInput!) { resendInvite(input: $input) { __typename ...on Problem { message } } }
"""


@dataclass
class BlockSetup:
    """A community that invited the guest, and a person who obtained the link."""

    service: Service
    owner: Browser
    link_holder: Browser
    community: str
    invitation: str

    async def block(self) -> None:
        """Declines and blocks as the holder of the link, without a login."""
        token = await self.service.token_for(GUEST)
        answer = await self.link_holder.do("declineInvite", token=token, block=True)
        assert answer["__typename"] == "DeclineInviteSuccess"

    async def undo_path(self) -> str:
        """Returns the path of the link in the newest mail about a block."""
        mail = await self.service.mail_to(GUEST)
        assert mail.subject == "Demo can no longer invite you"
        found = re.search(r"/blocks/[A-Za-z0-9_-]{43}", mail.text)
        assert found is not None
        return found[0]

    def mails(self) -> list[Any]:
        return [entry for entry in self.service.mailbox.entries if "no longer invite" in entry.subject]

    async def timeline(self) -> list[dict[str, Any]]:
        return list((await self.owner.invitation(self.invitation))["timeline"]["nodes"])

    async def kinds(self) -> list[str]:
        return [node["kind"] for node in await self.timeline()]

    async def resend(self) -> Any:
        return (await self.owner.ask(RESEND, input={"invitationId": self.invitation}))["resendInvite"]


@pytest.fixture
async def setup(service: Service) -> AsyncIterator[BlockSetup]:
    async with service.browser() as owner, service.browser() as link_holder:
        community = await join_owner(service, owner)
        invited = await owner.invite(community, GUEST)
        yield BlockSetup(service, owner, link_holder, community, invited["invitation"]["id"])


async def _press(service: Service, path: str, **form: str) -> httpx2.Response:
    async with http_client(service.url) as client:
        return await client.post(path, data=form or LIFT)


# ------------------------------------------------------------------------------------------------------- the mail


async def test_a_block_by_link_is_announced_and_its_mail_lifts_it(setup: BlockSetup) -> None:
    """H175: the service mails the invited mailbox. The mail's link lifts the block, and the admin can reopen the
    invitation.
    """
    await setup.block()
    assert [(block.email, block.made_by) for block in await blocks.list_all()] == [(GUEST, "link")]
    path = await setup.undo_path()
    assert len(setup.mails()) == 1
    assert (await setup.owner.invitation(setup.invitation))["canResend"] is False
    setup.service.clock.advance(days=29)
    assert (await _press(setup.service, path)).status_code == 200
    assert await blocks.list_all() == []
    await setup.owner.sign_in("owner@example.com")
    invitation = await setup.owner.invitation(setup.invitation)
    assert (invitation["status"], invitation["canResend"]) == ("DECLINED", True)
    assert (await setup.resend())["__typename"] == "ResendInviteSuccess"
    async with setup.service.browser() as guest:
        assert (await guest.accept_as(await setup.service.token_for(GUEST), GUEST))["status"] == "ACCEPTED"
    kinds = await setup.kinds()
    assert [kind for kind in kinds if kind.startswith("address.")] == [
        "address.blocked", "address.block_notice_sent", "address.block_lifted",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "sent", "last"),
    [
        (Reason.UNSUBSCRIBED, 1, "address.block_notice_sent"),
        (Reason.BOUNCED, 0, "address.block_notice_failed"),
        (Reason.COMPLAINED, 0, "address.block_notice_failed"),
    ],
)
async def test_a_block_notice_respects_bounces_and_complaints(
    setup: BlockSetup, reason: Reason, sent: int, last: str
) -> None:
    """H175: an unsubscribed mailbox gets the mail about a block. A bounced or complained mailbox gets none, and the log
    records this.
    """
    token = await setup.service.token_for(GUEST)
    async with database.transaction():
        await suppression.add(canonical(GUEST), reason, now=setup.service.clock())
    await setup.link_holder.do("declineInvite", token=token, block=True)
    await setup.service.deliver()
    assert len(setup.mails()) == sent
    assert (await setup.kinds())[-1] == last
    assert len(await blocks.list_all()) == 1


async def test_a_block_that_was_lifted_is_not_announced(setup: BlockSetup) -> None:
    """The operator lifts a block before the worker sends its mail. No mail is sent, and the address can be invited."""
    await setup.block()
    removed = await suppression.remove(canonical(GUEST), sender=None, now=setup.service.clock())
    assert (removed.was_suppressed, removed.unblocked_by) == (False, ["Demo"])
    await setup.service.deliver()
    assert setup.mails() == []
    assert (await setup.resend())["__typename"] == "ResendInviteSuccess"


# -------------------------------------------------------------------------------------------------- a shared browser


async def test_a_flow_cookie_alone_cannot_block(setup: BlockSetup) -> None:
    """H176: a flow that remains in a shared browser can decline at most. A request to decline and block changes
    nothing.
    """
    await setup.link_holder.accept(await setup.service.token_for(GUEST))
    before = await setup.kinds()
    refused = await setup.link_holder.do("declineInvite", block=True)
    assert refused["__typename"] == "InviteLinkInvalid"
    await setup.service.deliver()
    assert (await setup.owner.invitation(setup.invitation))["status"] == "PENDING"
    assert (await blocks.list_all(), setup.mails(), await setup.kinds()) == ([], [], before)
    assert (await setup.link_holder.do("declineInvite"))["__typename"] == "DeclineInviteSuccess"
    assert (await blocks.list_all(), setup.mails()) == ([], [])
    assert (await setup.resend())["__typename"] == "ResendInviteSuccess"


# ------------------------------------------------------------------------------------------------------ the undo page


async def test_scanners_cannot_lift_a_block(setup: BlockSetup) -> None:
    """H177: GET, HEAD, and POSTs without the form's field change nothing. The page is translated and has a strict
    policy.
    """
    await setup.block()
    path = await setup.undo_path()
    async with http_client(setup.service.url) as scanner:
        page = await scanner.get(path, headers={"accept-language": "xx, de-CH;q=0.8, fr;q=0.7"})
        await scanner.head(path)
        bad = [
            await scanner.post(path),
            await scanner.post(path, data={"other": "yes"}),
            await scanner.post(path, json=LIFT),
            await scanner.post(path, files={"lift": b"yes"}),
        ]
    assert page.status_code == 200
    assert '<html lang="de">' in page.text
    assert page.text.count("<button") == 1
    assert '<input type="hidden" name="lift" value="yes">' in page.text
    assert path.rpartition("/")[2] not in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert {answer.status_code for answer in bad} == {400}
    assert len(await blocks.list_all()) == 1
    assert (await _press(setup.service, path)).status_code == 200
    assert await blocks.list_all() == []


async def test_every_undo_token_gets_the_same_answer(setup: BlockSetup) -> None:
    """H177: live, used, unknown, expired and overlong tokens get the same answer. Only the live one lifts the block."""
    await setup.block()
    path = await setup.undo_path()
    setup.service.clock.advance(days=30)
    ended = await _press(setup.service, path)
    assert len(await blocks.list_all()) == 1
    setup.service.clock.advance(days=-30)
    answers = [await _press(setup.service, f"/blocks/{token}") for token in ("x", "A" * 43, "A" * 5_000, "%00")]
    assert len(await blocks.list_all()) == 1
    answers += [await _press(setup.service, path), await _press(setup.service, path), ended]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, ended.text)}
    assert await blocks.list_all() == []
    assert (await setup.kinds()).count("address.block_lifted") == 1


async def test_an_undo_token_lifts_only_its_block(setup: BlockSetup) -> None:
    """H177: the token of a lifted block does not lift a later block or another address's block, and does not
    unsubscribe.
    """
    await setup.owner.invite(setup.community, "other@example.com")
    other = await setup.service.token_for("other@example.com")
    await setup.link_holder.do("declineInvite", token=other, block=True)
    await setup.block()
    first_path = await setup.undo_path()
    await _press(setup.service, first_path)
    assert [block.email for block in await blocks.list_all()] == ["other@example.com"]
    assert (await setup.resend())["__typename"] == "ResendInviteSuccess"
    await setup.block()
    await _press(setup.service, first_path)
    await _press(setup.service, first_path.replace("blocks", "unsubscribe"), **{"List-Unsubscribe": "One-Click"})
    assert [block.email for block in await blocks.list_all()] == [GUEST, "other@example.com"]
    assert await suppression.list_all() == []
    await _press(setup.service, await setup.undo_path())
    assert [block.email for block in await blocks.list_all()] == ["other@example.com"]


async def test_an_undo_token_is_never_stored_or_logged(setup: BlockSetup, log_lines: list[str]) -> None:  # noqa: F811
    """H155: no log line and no stored value contains the token of the mail about a block, before or after its use."""
    await setup.block()
    path = await setup.undo_path()
    token = path.rpartition("/")[2]
    async with http_client(setup.service.url) as client:
        await client.get(path)
    stored = str([
        await database.select(f"SELECT * FROM {table}")  # noqa: S608 -- our tables
        for table in ("block_undo_tokens", "blocks", "mail_orders", "audit_events")
    ])  # fmt: skip
    assert GUEST in stored
    assert token not in stored
    await _press(setup.service, path)
    assert token not in str(await database.select("SELECT * FROM audit_events"))
    assert not [line for line in log_lines if token in line]
    assert [line for line in log_lines if "/blocks/{token}" in line]


# ---------------------------------------------------------------------------------------------------------- the audit log


async def test_the_audit_log_names_a_holder_of_the_link(setup: BlockSetup) -> None:
    """H178: events, refusals and mails do not attribute actions of the link's holder to the invitee."""
    token = await setup.service.token_for(GUEST)
    await setup.link_holder.accept_as(token, "thief@example.com")
    flow = await setup.link_holder.acceptance()
    await setup.link_holder.do("requestOtherAddress", acceptanceId=flow["id"])
    await setup.link_holder.accept_as(token, GUEST, verified=False)
    setup.service.clock.advance(minutes=11)
    await setup.link_holder.do("requestFreshLink", token=token)
    fresh = await setup.service.mail_to(GUEST)
    await setup.block()
    await _press(setup.service, await setup.undo_path())
    events = {node["kind"]: node for node in await setup.timeline()}
    by_holder = [
        "invitation.sign_in_started", "invitation.accept_refused", "invitation.other_address_requested",
        "invitation.fresh_link_requested", "invitation.declined", "address.blocked", "address.block_lifted",
    ]  # fmt: skip
    summaries = {kind: events[kind]["summary"] for kind in by_holder}
    assert [kind for kind, summary in summaries.items() if not summary.startswith("Somebody ")] == []
    assert [kind for kind in by_holder if events[kind]["actor"] is not None] == []
    assert not re.search(r"\bThey\b|[Ii]nvitee\b(?!'s mail server)", str([n["summary"] for n in events.values()]))
    assert "that you asked for" not in fresh.text
    assert "Somebody asked for this fresh link" in fresh.text


async def test_a_refused_resend_does_not_blame_the_invitee(setup: BlockSetup) -> None:
    """H178: the admin who may not reopen a blocked invitation reads that a person with the link blocked it."""
    await setup.block()
    refused = await setup.resend()
    assert refused["__typename"] == "InvitationClosed"
    assert refused["message"].startswith("A person with the link blocked")
    assert (await setup.owner.invitation(setup.invitation))["status"] == "DECLINED"


# ------------------------------------------------------------------------------------------------------------ pruning


async def test_expired_undo_tokens_are_pruned(setup: BlockSetup) -> None:
    """Pruning deletes a token after 30 days and keeps its block. An erasure keeps both for the mailbox's owner."""
    await setup.block()
    path = await setup.undo_path()
    await erase(canonical(GUEST), even_last_owner=False, now=setup.service.clock())
    assert len(await database.select("SELECT * FROM block_undo_tokens")) == 1
    assert GUEST not in str(await database.select("SELECT * FROM block_undo_tokens"))
    setup.service.clock.advance(days=30)
    pruned = await pruning.prune(now=setup.service.clock(), settings=setup.service.settings)
    assert pruned["block_undo_tokens"] == 1
    await _press(setup.service, path)
    assert len(await blocks.list_all()) == 1
