"""Suppressed addresses: the ways onto the list, its visibility, and removal by the operator."""

import re

import httpx2
import pytest

from service import database
from service.mail import suppression
from service.mail.mailbox import MailboxEntry
from tests.support.service import Browser, Service, http_client, token_in
from tests.test_secrets import log_lines  # noqa: F401 -- a fixture

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"
GUEST = "guest@example.com"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


async def _invited(service: Service, owner: Browser) -> tuple[str, MailboxEntry]:
    """Returns the guest's invitation and its mail."""
    await owner.accept_as(await service.token_for(OWNER), OWNER)
    invited = await owner.invite(await owner.community_id(), GUEST)
    return str(invited["invitation"]["id"]), await service.mail_to(GUEST)


def _unsubscribe_path(mail: MailboxEntry) -> str:
    found = re.search(r"/unsubscribe/[A-Za-z0-9_-]{43}", mail.text)
    assert found is not None
    return found[0]


async def _click(service: Service, path: str, **form: str) -> httpx2.Response:
    async with http_client(service.url) as client:
        return await client.post(path, data=form or ONE_CLICK)


async def test_opening_the_link_does_not_suppress(service: Service) -> None:
    """A mail scanner's GET and HEAD requests show a page with one button in the reader's language, and suppress no
    address.
    """
    async with service.browser() as owner, http_client(service.url) as scanner:
        _, mail = await _invited(service, owner)
        path = _unsubscribe_path(mail)
        page = await scanner.get(path, headers={"accept-language": "xx, de-CH;q=0.8, fr;q=0.7"})
        await scanner.head(path)
        assert page.status_code == 200
        assert '<html lang="de">' in page.text
        assert page.text.count("<button") == 1
        assert path not in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
        assert await suppression.list_all() == []


async def test_one_click_stops_invitations_and_fresh_links(service: Service) -> None:
    """RFC 8058: after the POST, an admin's resend is SUPPRESSED, and requests for a fresh link send no mail."""
    async with service.browser() as owner, service.browser() as guest:
        invitation_id, mail = await _invited(service, owner)
        assert (await _click(service, _unsubscribe_path(mail))).status_code == 200
        service.clock.advance(minutes=11)
        await guest.do("requestFreshLink", token=token_in(mail))
        assert (await service.mail_to(GUEST)).id == mail.id
        assert (await owner.invitation(invitation_id))["delivery"] == "SENT"
        await owner.do("resendInvite", invitationId=invitation_id)
        assert (await service.mail_to(GUEST)).id == mail.id
        invitation = await owner.invitation(invitation_id)
        assert invitation["delivery"] == "SUPPRESSED"
        assert "unsubscribe" not in invitation["deliveryReason"].lower()


async def test_every_token_gets_the_same_answer(service: Service) -> None:
    """Live, used, unknown, expired and overlong tokens get the same answer. Only the live one suppresses."""
    async with service.browser() as owner:
        _, mail = await _invited(service, owner)
    path = _unsubscribe_path(mail)
    service.clock.advance(days=30)
    ended = await _click(service, path)
    assert await suppression.list_all() == []
    service.clock.advance(days=-30)
    answers = [await _click(service, f"/unsubscribe/{token}") for token in ("x", "A" * 43, "A" * 5_000, "%00")]
    assert await suppression.list_all() == []
    answers += [await _click(service, path), await _click(service, path), ended]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, ended.text)}
    assert [(row.email, row.reason) for row in await suppression.list_all()] == [(GUEST, "unsubscribed")]


async def test_a_post_without_the_field_does_not_suppress(service: Service) -> None:
    """A POST without the field of RFC 8058's one click answers 400, and suppresses no address."""
    async with service.browser() as owner, http_client(service.url) as client:
        _, mail = await _invited(service, owner)
        path = _unsubscribe_path(mail)
        bad = [
            await _click(service, path, other="One-Click"),
            await client.post(path),
            await client.post(path, json=ONE_CLICK),
            await client.post(path, content=b"x", headers={"content-type": "multipart/form-data"}),
            await client.post(path, files={"List-Unsubscribe": b"One-Click"}),
        ]
        assert {answer.status_code for answer in bad} == {400}
        assert await suppression.list_all() == []
        as_multipart = await client.post(path, files={"List-Unsubscribe": (None, b"One-Click")})
        assert as_multipart.status_code == 200
        assert len(await suppression.list_all()) == 1


async def test_the_token_is_never_logged_or_stored(service: Service, log_lines: list[str]) -> None:  # noqa: F811
    """H155: no log line and no stored byte contains the unsubscribe token, before or after its use."""
    async with service.browser() as owner, http_client(service.url) as client:
        _, mail = await _invited(service, owner)
        path = _unsubscribe_path(mail)
        await client.get(path)
        await _click(service, path)
    token = path.rpartition("/")[2]
    assert not [line for line in log_lines if token in line]
    assert [line for line in log_lines if "/unsubscribe/{token}" in line]
    for table in ("unsubscribe_tokens", "suppressions", "audit_events"):
        rows = await database.select(f"SELECT * FROM {table}")  # noqa: S608 -- our tables
        assert token not in str(rows)
