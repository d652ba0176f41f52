"""The audit log and timelines: contents, readers, order and cost."""

import asyncio
import re
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from service import database, openid
from service.audit_log.log import AuditFilter, AuditLogQuery, TimelineQuery, audit_log_pages, timeline_pages
from service.audit_log.sentences import EVIDENCE, REASONS, in_words, summary
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

GUEST = "guest@example.com"

LOG = """
query($id: ID!, $filter: AuditFilter, $first: Int, $after: String) { community(id: $id) {
  auditLog(filter: $filter, first: $first, after: $after) { nodes { id kind at summary actor { id email }
    invitation { id email } } pageInfo { hasNextPage endCursor } } } }
"""

OTHER_ADDRESS = """
mutation($input: RequestOtherAddressInput!) { requestOtherAddress(input: $input) { __typename
  ...on RequestOtherAddressSuccess { acceptance { id status } } ...on Problem { message } } }
"""


async def _owner(service: Service, browser: Browser) -> str:
    await browser.accept_as(await service.token_for("owner@example.com"), "owner@example.com")
    return await browser.community_id()


async def _log(browser: Browser, community: str, **variables: Any) -> Any:
    return (await browser.ask(LOG, id=community, **variables))["community"]["auditLog"]


async def test_log_is_paged_and_filtered(service: Service) -> None:
    """Pages are sorted by the newest event, without gaps and repeats, and filtered by kind, actor and time. Each event
    has its invitation.
    """
    async with service.browser() as owner:
        community = await _owner(service, owner)
        began = service.clock().isoformat()
        for number in range(5):
            service.clock.advance(seconds=1)
            await owner.invite(community, f"guest{number}@example.com")
        await service.deliver()
        whole = await _log(owner, community)
        pages, after = [], None
        while True:
            page = await _log(owner, community, first=3, after=after)
            pages += page["nodes"]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert pages == whole["nodes"]
        assert pages[-1]["kind"] == "community.created"
        created = (await _log(owner, community, filter={"kinds": ["invitation.created"], "after": began}))["nodes"]
        assert [event["invitation"]["email"][5] for event in created] == ["4", "3", "2", "1", "0"]
        me = created[0]["actor"]["id"]
        both = {"kinds": ["invitation.created", "membership.joined"], "actorId": me}
        found = [event["kind"] for event in (await _log(owner, community, filter=both))["nodes"]]
        assert found == ["invitation.created"] * 5 + ["membership.joined"]
        early = await _log(owner, community, filter={"before": created[-1]["at"]}, first=2)
        rest = await _log(owner, community, filter={"before": created[-1]["at"]}, after=early["pageInfo"]["endCursor"])
        assert len(early["nodes"] + rest["nodes"]) == len(whole["nodes"]) - 10
        assert (await _log(owner, community, filter={"actorId": "per_\u0000"}))["nodes"] == []


async def test_bad_arguments_of_the_log_are_rejected_with_a_sentence(service: Service) -> None:
    """An empty list of kinds, an empty period and cursors of other lists are rejected. Only admins read the log."""
    async with service.browser() as owner, service.browser() as guest:
        community = await _owner(service, owner)
        for variables, words in (
            ({"filter": {"kinds": []}}, "between 1 and 50"),
            ({"filter": {"kinds": ["a\u0000b"]}}, "no kind of event"),
            ({"filter": {"after": "2026-02-01T00:00:00Z", "before": "2026-01-01T00:00:00Z"}}, "not earlier"),
            ({"first": 0}, "between 1 and 100"),
            ({"after": "x"}, "no cursor"),
        ):
            messages = await owner.errors(LOG, id=community, **variables)
            assert len(messages) == 1
            assert words in messages[0], messages
        await owner.invite(community, GUEST)
        await guest.accept_as(await service.token_for(GUEST), GUEST)
        assert await _log(guest, community) is None


async def test_timeline_shows_refusals_and_the_proposed_address(service: Service) -> None:
    """EMAIL_MISMATCH shows the masked address. After requestOtherAddress, the invitation has the proved address once,
    and an admin invites it.
    """
    async with service.browser() as owner, service.browser() as guest, service.browser() as stranger:
        community = await _owner(service, owner)
        invited = (await owner.invite(community, GUEST))["invitation"]["id"]
        acceptance = await guest.accept_as(await service.token_for(GUEST), "other@example.com")
        assert acceptance["status"] == "EMAIL_MISMATCH"
        before = await _may_ask(guest)
        assert before == {
            "reason": "email_mismatch", "canRequestOtherAddress": True, "otherAddressRequested": False,
        }  # fmt: skip
        expected = {"acceptanceId": acceptance["id"]}
        foreign = (await stranger.ask(OTHER_ADDRESS, input=expected))["requestOtherAddress"]
        assert foreign["__typename"] == "InviteLinkInvalid"
        for _ in range(2):
            answer = (await guest.ask(OTHER_ADDRESS, input=expected))["requestOtherAddress"]
            assert answer["acceptance"] == {"id": acceptance["id"], "status": "EMAIL_MISMATCH"}
            assert await _may_ask(guest) == {
                **before,
                "canRequestOtherAddress": False,
                "otherAddressRequested": True,
            }
        view = (await owner.ask(
            "query($id: ID!) { invitation(id: $id) { proposedEmail status timeline { nodes { kind summary } } } }", id=invited
        ))["invitation"]  # fmt: skip
        assert (view["proposedEmail"], view["status"]) == ("other@example.com", "PENDING")
        reported = {event["kind"]: event["summary"] for event in view["timeline"]["nodes"]}
        assert "o•••@example.com" in reported["invitation.accept_refused"]
        assert "other@example.com" not in str(reported)
        assert reported["invitation.sign_in_started"].endswith("went to sign in with Development.")
        assert [event["kind"] for event in view["timeline"]["nodes"]].count("invitation.other_address_requested") == 1
        assert (await owner.invite(community, view["proposedEmail"]))["__typename"] == "InviteMemberSuccess"


async def test_second_proposed_address_does_not_replace_the_first(service: Service) -> None:
    """H182: the first proposed address remains, also after a resend. The second person reads that theirs was not taken,
    and the admins see it masked in the timeline.
    """
    query = "query($id: ID!) { invitation(id: $id) { proposedEmail timeline { nodes { kind summary times } } } }"
    async with service.browser() as owner, service.browser() as first, service.browser() as second:
        community = await _owner(service, owner)
        invited = (await owner.invite(community, GUEST))["invitation"]["id"]
        token = await service.token_for(GUEST)
        for asker, address, is_taken in ((first, "first@example.com", True), (second, "second@example.com", False)):
            acceptance = await asker.accept_as(token, address)
            for _ in range(3):
                answer = (await asker.ask(OTHER_ADDRESS, input={"acceptanceId": acceptance["id"]}))[
                    "requestOtherAddress"
                ]
                assert answer["__typename"] == "RequestOtherAddressSuccess"
                assert (await _may_ask(asker))["otherAddressRequested"] == is_taken
        view = (await owner.ask(query, id=invited))["invitation"]
        assert view["proposedEmail"] == "first@example.com"
        requested = [
            event for event in view["timeline"]["nodes"] if event["kind"] == "invitation.other_address_requested"
        ]
        assert [event["times"] for event in requested] == [1, 3]
        assert "s•••@example.com" in requested[1]["summary"]
        assert ["asked for first stays" in event["summary"] for event in requested] == [False, True]
        assert "second@example.com" not in str(view)
        service.clock.advance(minutes=2)
        await owner.do("resendInvite", invitationId=invited)
        assert (await owner.ask(query, id=invited))["invitation"]["proposedEmail"] == "first@example.com"


async def test_one_of_simultaneous_proposals_remains(service: Service) -> None:
    """H182: of five simultaneous proposals, one is stored with the invitation, and the others are in the timeline."""
    async with service.browser() as owner, AsyncExitStack() as stack:
        community = await _owner(service, owner)
        invited = (await owner.invite(community, GUEST))["invitation"]["id"]
        token = await service.token_for(GUEST)
        askers = [await stack.enter_async_context(service.browser()) for _ in range(5)]
        found = [await asker.accept_as(token, f"{number}x@example.com") for number, asker in enumerate(askers)]
        await asyncio.gather(*(
            asker.ask(OTHER_ADDRESS, input={"acceptanceId": acceptance["id"]})
            for asker, acceptance in zip(askers, found, strict=True)
        ))  # fmt: skip
        taken = [(await _may_ask(asker))["otherAddressRequested"] for asker in askers]
        assert sorted(taken) == [False] * 4 + [True]
        proposed = (await owner.ask("query($id: ID!) { invitation(id: $id) { proposedEmail } }", id=invited))[
            "invitation"
        ]
        assert proposed["proposedEmail"] == f"{taken.index(True)}x@example.com"
        requested = await _log(owner, community, filter={"kinds": ["invitation.other_address_requested"]})
        assert len([event for event in requested["nodes"] if "asked for first stays" in event["summary"]]) == 4


async def _may_ask(guest: Browser) -> Any:
    query = "{ acceptance { reason canRequestOtherAddress otherAddressRequested } }"
    return (await guest.ask(query))["acceptance"]


@pytest.mark.parametrize("verified", [False, True])
async def test_only_a_proved_address_can_be_proposed(service: Service, verified: bool) -> None:
    """An unproved address, or a flow that did not end in a mismatch, proposes nothing."""
    async with service.browser() as owner, service.browser() as guest:
        community = await _owner(service, owner)
        invited = (await owner.invite(community, GUEST))["invitation"]["id"]
        login = GUEST if verified else "other@example.com"
        acceptance = await guest.accept_as(await service.token_for(GUEST), login, verified=verified)
        answer = (await guest.ask(OTHER_ADDRESS, input={"acceptanceId": acceptance["id"]}))["requestOtherAddress"]
        assert answer["__typename"] == "InviteLinkInvalid"
        assert not (await _may_ask(guest))["canRequestOtherAddress"]
        query = "query($id: ID!) { invitation(id: $id) { proposedEmail } }"
        assert (await owner.ask(query, id=invited))["invitation"]["proposedEmail"] is None


def test_every_rule_of_evidence_has_a_sentence() -> None:
    """Each rule that accepts or refuses an address has a sentence for admins."""
    source = (Path(openid.__file__).parent / "evidence.py").read_text("utf-8")
    accepting = set(re.findall(r'_authoritative\("(\w+)"\)', source))
    parties = set(re.findall(r'_third_party\(provider, "(\w+)"\)', source))
    accepting |= {f"{party}_third_party{end}" for party in parties for end in ("", "_trusted_by_operator")}
    assert accepting == set(EVIDENCE)
    refusing = set(re.findall(r'_refusal\("(\w+)"\)', source)) | set(
        re.findall(r'^    "(\w+)": \($', source, re.MULTILINE)
    )
    assert refusing
    assert refusing <= set(REASONS)
    assert str(in_words("google_third_party_and_code")).endswith("the code from the invited mailbox was entered")
    details = {"status": "SIGN_IN_FAILED", "reason": "nonce_wrong"}
    assert "_" not in str(summary("invitation.accept_refused", details, None, provider_labels={}))


async def test_sentences_name_providers_by_their_label(service: Service) -> None:
    """Timeline, log and export show the label of a provider, and its details keep the id. A removed one has only an id."""
    query = """query($id: ID!) { invitation(id: $id) { timeline { nodes { kind summary details { key value } } } } }"""
    async with service.browser() as owner, service.browser() as guest:
        community = await _owner(service, owner)
        invited = (await owner.invite(community, GUEST))["invitation"]["id"]
        await guest.accept_as(await service.token_for(GUEST), "other@example.com")
        await guest.accept_as(await service.token_for(GUEST), GUEST)
        nodes = (await owner.ask(query, id=invited))["invitation"]["timeline"]["nodes"]
        found = [node for node in nodes if {"key": "provider", "value": "dev"} in node["details"]]
        assert {node["kind"] for node in found} >= {
            "invitation.sign_in_started", "invitation.accept_refused", "invitation.accepted",
        }  # fmt: skip
        assert all("with Development" in node["summary"] and "dev" not in node["summary"] for node in found)
        exported = (await owner.client.get(f"/export/{community}/audit.csv")).text
        assert all(node["summary"] in exported for node in found)
        await database.execute(
            "UPDATE audit_events SET details = $1 WHERE kind = 'invitation.accepted'", '{"provider": "acme"}'
        )
        nodes = (await owner.ask(query, id=invited))["invitation"]["timeline"]["nodes"]
        (accepted,) = [node["summary"] for node in nodes if node["kind"] == "invitation.accepted"]
        assert "signed in with acme:" in accepted


_SEED = """
INSERT INTO audit_events (id, kind, at, community_id, actor_id, invitation_id, details)
SELECT 'evt_' || lpad(n::text, 22, '0'), CASE WHEN n % 20000 = 0 THEN 'policy.changed' ELSE 'invitation.sent' END,
    $2::timestamptz - n * interval '1 second', $1, CASE WHEN n % 10000 = 0 THEN $3 END, 'inv_' || lpad((n % 100)::text, 22, '0'),
    '{}' FROM generate_series(1, 100000) n
"""
_BLOCKS = """
SELECT sum(pg_stat_get_xact_blocks_fetched(oid))::int AS fetched FROM pg_class
WHERE oid = 'audit_events'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'audit_events'::regclass)
"""
_MOST_BLOCKS = 400  # of 8 kB: a page of fifty through an index


@pytest.mark.parametrize("engine", ["postgres"])
async def test_page_of_a_long_log_costs_as_much_as_of_a_short_one(service: Service) -> None:
    """In 100,000 events, a page by kind, actor or time reads a few blocks, from its start and from its middle. So does
    a timeline of a thousand events.
    """
    async with service.browser() as owner:
        community, now = await _owner(service, owner), service.clock()
    me = (await database.select("SELECT id FROM members"))[0]["id"]
    await database.execute(_SEED, community, now, me)
    # The statistics read every row, so that the plans do not depend on a sample.
    for column in ("community_id", "kind", "actor_id", "at", "invitation_id", "seq"):
        await database.connection().execute_query(
            f"ALTER TABLE audit_events ALTER COLUMN {column} SET STATISTICS 10000"
        )
    await database.connection().execute_query("VACUUM ANALYZE audit_events")
    middle = now - timedelta(seconds=50_000), "evt_" + "50000".rjust(22, "0")
    for expected, after in product((
        AuditFilter(), AuditFilter(kinds=frozenset({"policy.changed"})), AuditFilter(kinds=frozenset({"community.erased"})),
        AuditFilter(kinds=frozenset({"invitation.sent", "policy.changed"})), AuditFilter(actor_id=me),
        AuditFilter(before=now - timedelta(seconds=90_000)),
    ), (None, middle)):  # fmt: skip
        for _ in range(7):  # PostgreSQL may use a cached plan for the last ones
            assert (
                await _blocks_of(
                    audit_log_pages([AuditLogQuery(community, 51, after, expected)], settings=service.settings)
                )
                < _MOST_BLOCKS
            ), expected
    invitation = "inv_" + "7".rjust(22, "0")
    assert await _blocks_of(timeline_pages([TimelineQuery(invitation, 51)], settings=service.settings)) < _MOST_BLOCKS


async def _blocks_of(work: Awaitable[object]) -> int:
    """Returns the number of blocks of the log and its indexes that the work reads."""
    async with database.transaction():
        before = (await database.select(_BLOCKS))[0]["fetched"]
        await work
        return int((await database.select(_BLOCKS))[0]["fetched"]) - int(before)
