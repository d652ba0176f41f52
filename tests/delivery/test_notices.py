"""Notices: mails to a person about their account. The outbox sends them like other mails."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from tortoise.exceptions import IntegrityError

from service import database
from service.addresses import canonical
from service.delivery.worker import Worker
from service.mail import outbox, suppression
from service.mail.senders import open_sender
from service.mail.suppression import Reason
from service.retention import erasure, pruning
from service.settings import load_settings
from tests.conftest import Serve
from tests.support.members import invite_and_join, join_owner
from tests.support.service import Service
from tests.support.sns import TOPIC, Sns, event

pytestmark = pytest.mark.anyio

MEMBER = "member@example.com"


@dataclass
class Recipient:
    service: Service
    member_id: str

    async def order(self, **facts: str) -> None:
        """Orders the notice of an added sign-in, as linking does."""
        async with database.transaction():
            await outbox.order_notice(
                member_id=self.member_id, notice="identity_linked", facts={"provider": "Example ID"} | facts,
                now=self.service.clock(),
            )  # fmt: skip

    async def orders(self) -> list[dict[str, Any]]:
        return await database.select("SELECT * FROM mail_orders WHERE kind = 'notice'")

    def mails(self) -> list[Any]:
        return [entry for entry in self.service.mailbox.entries if "sign-in was added" in entry.subject]


@pytest.fixture
async def recipient(service: Service) -> AsyncIterator[Recipient]:
    async with service.browser() as owner, service.browser() as member:
        await join_owner(service, owner)
        await invite_and_join(service, owner, member, MEMBER)
        viewer = await member.ask("{ viewer { member { id } } }")
        yield Recipient(service, viewer["viewer"]["member"]["id"])


async def test_notice_is_sent_to_the_accounts_own_address(recipient: Recipient) -> None:
    """The mail is sent to the account's address, not to that of a later sign-in, and contains no link with an effect."""
    await database.execute(
        "UPDATE identities SET email = $1 WHERE member_id = $2", "new@example.com", recipient.member_id
    )
    await recipient.order()
    mail = await recipient.service.mail_to(MEMBER)
    assert mail.subject == "A sign-in was added to your account"
    assert "Example ID" in mail.text
    assert f"{recipient.service.clock():%H:%M} (UTC)" in mail.text
    assert re.findall(r"https?://\S+", mail.text) == [recipient.service.settings.public_url]
    assert len(recipient.mails()) == 1
    (order,) = await recipient.orders()
    assert order["sent_at"] is not None
    await recipient.service.deliver()
    assert len(recipient.mails()) == 1


async def test_notice_has_the_language_of_its_facts(recipient: Recipient) -> None:
    """The order's language takes precedence over that of the account's community."""
    await database.execute("UPDATE communities SET locale = 'fr'")
    await recipient.order()
    assert 'lang="fr"' in (await recipient.service.mail_to(MEMBER)).html
    await recipient.order(locale="de-AT")
    assert 'lang="de"' in (await recipient.service.mail_to(MEMBER)).html


@pytest.mark.parametrize(("reason", "sent"), [(Reason.BOUNCED, 0), (Reason.COMPLAINED, 0), (Reason.UNSUBSCRIBED, 1)])
async def test_notice_respects_the_suppression_list(recipient: Recipient, reason: Reason, sent: int) -> None:
    """A bounced or complained address receives no notice. Unsubscribing from invitations does not stop it."""
    async with database.transaction():
        await suppression.add(canonical(MEMBER), reason, now=recipient.service.clock())
    await recipient.order()
    await recipient.service.deliver()
    assert len(recipient.mails()) == sent
    (order,) = await recipient.orders()
    assert (order["sent_at"] is None, order["cancelled_at"] is None) == (not sent, bool(sent))


async def test_account_without_an_address_gets_no_notice(recipient: Recipient) -> None:
    """Without its own address, the account's oldest proved sign-in counts. Without one, no notice is sent."""
    await database.execute("UPDATE members SET email = NULL WHERE id = $1", recipient.member_id)
    await recipient.order()
    assert "Example ID" in (await recipient.service.mail_to(MEMBER)).text
    await database.execute("UPDATE identities SET email_proven = FALSE WHERE member_id = $1", recipient.member_id)
    await recipient.order()
    await recipient.service.deliver()
    assert len(recipient.mails()) == 1
    assert [order["cancelled_at"] is None for order in await recipient.orders()].count(False) == 1


async def test_notice_is_retried(recipient: Recipient) -> None:
    """A mail server outage delays a notice like other mails."""
    await recipient.order()
    settings = load_settings(environ={}, mail_url="smtp://127.0.0.1:9", mail_from="a@example.com")
    sender = open_sender(settings, clock=recipient.service.clock)
    try:
        assert await Worker(recipient.service.settings, sender, recipient.service.clock).deliver_due() == 1
    finally:
        await sender.close()
    (order,) = await recipient.orders()
    assert (order["tries"], order["sent_at"], order["failed_at"]) == (1, None, None)
    recipient.service.clock.advance(minutes=1)
    assert "Example ID" in (await recipient.service.mail_to(MEMBER)).text


async def test_bounced_notice_suppresses_its_recipient(serve: Serve) -> None:
    """An event about a notice suppresses its recipient, although the account has another address now."""
    sns = Sns()
    async with (
        serve(fetch_certificate=sns.fetch, ses_topic_arns=[TOPIC]) as service,
        service.browser() as owner,
        service.browser() as member,
    ):
        await join_owner(service, owner)
        await invite_and_join(service, owner, member, MEMBER)
        viewer = await member.ask("{ viewer { member { id } } }")
        recipient = Recipient(service, viewer["viewer"]["member"]["id"])
        await recipient.order()
        await service.deliver()
        await database.execute("UPDATE members SET email = 'later@example.com' WHERE id = $1", recipient.member_id)
        (order,) = await recipient.orders()
        about = event("Bounce", order["id"], bounceType="Permanent", bounceSubType="NoEmail")
        for _ in range(2):
            answer = await owner.client.post(
                "/webhooks/ses", content=json.dumps(sns.notification(about, now=service.clock())),
                headers={"content-type": "text/plain"},
            )  # fmt: skip
            assert answer.status_code == 200, answer.text
        assert [(row.email, row.reason) for row in await suppression.list_all()] == [(MEMBER, "bounced")]
        assert [row["delivery"] for row in await recipient.orders()] == ["BOUNCED"]


async def test_notices_are_erased_and_pruned(recipient: Recipient) -> None:
    """Erasing a person removes their notices. A sent notice is pruned after the retention, and a waiting one remains."""
    service = recipient.service
    await recipient.order()
    await service.deliver()
    await recipient.order()
    service.clock.advance(days=service.settings.retention_days, seconds=1)
    assert (await pruning.prune(now=service.clock(), settings=service.settings))["notices"] == 1
    assert [order["sent_at"] for order in await recipient.orders()] == [None]
    await erasure.erase(canonical(MEMBER), even_last_owner=False, now=service.clock())
    assert await recipient.orders() == []


@pytest.mark.parametrize(
    "change",
    ["kind = 'invitation'", "notice = NULL", "member_id = NULL", "generation = 1", "kind = 'surprise'"],
)
async def test_impossible_orders_are_rejected(recipient: Recipient, change: str) -> None:
    """The database rejects an order without a recipient, without a subject, or of an unknown kind."""
    await recipient.order()
    with pytest.raises(IntegrityError):
        await database.execute(f"UPDATE mail_orders SET {change} WHERE kind = 'notice'")  # noqa: S608 -- our own
    assert [order["notice"] for order in await recipient.orders()] == ["identity_linked"]


async def test_notice_that_cannot_be_composed_fails_at_once(recipient: Recipient) -> None:
    """H185: a notice with invalid facts fails at its first attempt, like other mails."""
    await recipient.order()
    await database.execute("UPDATE mail_orders SET facts = '{}' WHERE kind = 'notice'")
    await recipient.service.deliver()
    (order,) = await recipient.orders()
    assert (order["failed_at"], order["tries"], recipient.mails()) == (recipient.service.clock(), 1, [])
