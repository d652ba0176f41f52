"""Statement budgets: hot paths run a fixed number of SQL statements at any size of the tables. Caches have hits."""

import gc
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service import audit
from service.invitations.views import InvitationView
from service.models import Invitation
from service.tokens import new_id
from tests.support.service import Browser, Service
from tests.support.statements import recorded_statements

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"


async def _owned(service: Service, browser: Browser) -> str:
    await browser.accept_as(await service.token_for(OWNER), OWNER)
    return await browser.community_id()


async def _fill(service: Service, community_id: str, number: int) -> None:
    now = service.clock()
    await Invitation.bulk_create(
        Invitation(
            id=new_id("inv"),
            community_id=community_id,
            email=f"filler{index}-{number}@example.com",
            role="MEMBER",
            created_at=now - timedelta(seconds=index),
            expires_at=now + timedelta(days=7),
        )
        for index in range(number)
    )


_PAGE = """
query($id: ID!, $first: Int) { community(id: $id) { name viewerRole invitations(first: $first) { totalCount
  pageInfo { hasNextPage endCursor } nodes { id email role status delivery deliveryReason blockedReason canResend
  canResendAt canRevoke createdAt expiresAt inviter { id name email } acceptedBy { id } community { id name } } } } }
"""


async def test_inviting_keeps_its_budget(service: Service, engine: str) -> None:
    """inviteMember runs 5 statements on PostgreSQL and 7 on SQLite, with a thousand invitations as with none."""
    async with service.browser() as owner:
        community = await _owned(service, owner)
        with recorded_statements() as first:
            assert (await owner.invite(community, "one@example.com"))["__typename"] == "InviteMemberSuccess"
        await _fill(service, community, 1000)
        with recorded_statements() as second:
            assert (await owner.invite(community, "two@example.com"))["__typename"] == "InviteMemberSuccess"
    assert len(first) == len(second) == {"postgres": 5, "sqlite": 7}[engine], second


async def test_accepting_keeps_its_budget(service: Service, engine: str) -> None:
    """The accepting callback of a signed-in member runs 9 statements on PostgreSQL and 14 on SQLite."""
    async with service.browser() as owner:
        community = await _owned(service, owner)
        await _fill(service, community, 1000)
        await owner.invite(community, "guest@example.com")
        started = await owner.accept(await service.token_for("guest@example.com"))
        callback = await owner.callback_url(started["authorizationUrl"], "guest@example.com")
        with recorded_statements() as statements:
            await owner.client.get(callback)
        assert (await owner.acceptance())["status"] == "ACCEPTED"
    assert len(statements) == {"postgres": 9, "sqlite": 14}[engine], statements


async def test_page_of_a_hundred_takes_at_most_five_statements(service: Service) -> None:
    """A page of 100 invitations with counts and inviters runs at most 5 statements, and as many as a page of 10."""
    async with service.browser() as owner:
        community = await _owned(service, owner)
        await _fill(service, community, 250)
        with recorded_statements() as small:
            await owner.ask(_PAGE, id=community, first=10)
        with recorded_statements() as large:
            page = (await owner.ask(_PAGE, id=community, first=100))["community"]["invitations"]
    assert (len(page["nodes"]), page["totalCount"], page["pageInfo"]["hasNextPage"]) == (100, 251, True)
    assert 0 < len(small) == len(large) <= 5, large


_COMMUNITY = """
id name memberCount invitationCounts { pending } invitationFunnel(weeks: 1) { invited }
memberships(first: 2) { totalCount nodes { role member { name email } } }
invitations(filter: {statuses: [PENDING, DECLINED]}, first: 2) { totalCount nodes { email inviter { name } } }
auditLog(filter: {kinds: ["invitation.created", "invitation.sent"]}, first: 2) { nodes { summary invitation { email } } }
"""
_EVERYTHING = f"""
query($id: ID!, $first: Int) {{ community(id: $id) {{ invitations(first: $first) {{ totalCount edges {{ cursor }} nodes {{
  email inviter {{ name email }} acceptedBy {{ name email }} revokedBy {{ name email }} community {{ {_COMMUNITY} }}
  timeline(first: 3) {{ pageInfo {{ hasNextPage }} nodes {{ summary actor {{ name email }} invitation {{ email timeline(first: 2) {{
    nodes {{ kind }} }} }} }} }} }} }} }} }}
"""


async def test_nested_fields_take_the_same_statements_for_a_hundred_rows(service: Service) -> None:
    """Timelines, people and each node's community are loaded in batches for the whole page."""
    async with service.browser() as owner:
        community = await _owned(service, owner)
        await _fill(service, community, 120)
        await _tell(service, community)
        with recorded_statements() as small:
            await owner.ask(_EVERYTHING, id=community, first=10)
        with recorded_statements() as large:
            page = (await owner.ask(_EVERYTHING, id=community, first=100))["community"]["invitations"]
    reported = [node["timeline"]["nodes"] for node in page["nodes"] if node["email"] != OWNER]
    assert [len(events) for events in reported] == [2] * len(reported)
    assert [len(event["invitation"]["timeline"]["nodes"]) for event in reported[-1]] == [2, 2]
    assert page["nodes"][0]["community"]["memberCount"] == 1
    assert 0 < len(small) == len(large) <= 16, large


async def _tell(service: Service, community_id: str) -> None:
    """Writes two events for each filler, with a member in one sentence."""
    for invitation in await Invitation.filter(email__startswith="filler"):
        await audit.record(
            service.clock(),
            *(
                audit.Event(kind, community_id, None, invitation.id)
                for kind in ("invitation.sent", "invitation.delivered")
            ),
        )


async def test_page_of_the_log_is_read_in_batches(service: Service) -> None:
    """A page of 100 events with their actors, invitations and timelines runs as many statements as a page of 10."""
    query = (
        "query($id: ID!, $first: Int) { community(id: $id) { auditLog(first: $first) { nodes { summary actor { name }"
        " invitation { email inviter { name } timeline { nodes { summary } } } } } } }"
    )
    async with service.browser() as owner:
        community = await _owned(service, owner)
        await _fill(service, community, 60)
        await _tell(service, community)
        with recorded_statements() as small:
            await owner.ask(query, id=community, first=10)
        with recorded_statements() as large:
            nodes = (await owner.ask(query, id=community, first=100))["community"]["auditLog"]["nodes"]
    assert all(event["invitation"] is not None for event in nodes)
    assert 0 < len(small) == len(large) <= 6, large


async def test_many_communities_take_as_many_statements_as_two(service: Service) -> None:
    """Members, invitations, counts and logs of a member's communities are loaded in batches."""
    query = f"{{ viewer {{ memberships {{ role community {{ {_COMMUNITY} }} }} }} }}"
    async with service.browser() as owner:
        await _owned(service, owner)
        taken = []
        for more in (1, 15):
            for number in range(more):
                made = await owner.do("createCommunity", name=f"Community {more}/{number}")
                assert made["__typename"] == "CreateCommunitySuccess"
            with recorded_statements() as statements:
                memberships = (await owner.ask(query))["viewer"]["memberships"]
            taken.append(len(statements))
    assert [access["community"]["memberCount"] for access in memberships] == [1] * 17
    assert sum(len(access["community"]["invitations"]["nodes"]) for access in memberships) == 0
    assert sum(len(access["community"]["auditLog"]["nodes"]) for access in memberships) == 2
    assert 0 < taken[0] == taken[1] <= 13, statements


async def test_answer_shows_the_change_of_its_own_mutation(service: Service) -> None:
    """Mutations in one request share no cached rows: the second timeline has one event more."""
    resend = "resendInvite(input: {invitationId: $id}) { ...on ResendInviteSuccess { invitation { ...all } } }"
    revoke = "revokeInvite(input: {invitationId: $id}) { ...on RevokeInviteSuccess { invitation { ...all } } }"
    fragment = "fragment all on Invitation { timeline { nodes { kind } } community { invitationCounts { pending } } }"
    async with service.browser() as owner:
        community = await _owned(service, owner)
        invited = (await owner.invite(community, "guest@example.com"))["invitation"]["id"]
        answers = await owner.ask(f"mutation($id: ID!) {{ {resend} {revoke} }} {fragment}", id=invited)
    view = [answer["invitation"] for answer in answers.values()]
    assert [node["timeline"]["nodes"][-1]["kind"] for node in view] == ["invitation.resent", "invitation.revoked"]
    assert [node["community"]["invitationCounts"]["pending"] for node in view] == [1, 0]


async def test_rows_are_counted_only_for_total_count(service: Service) -> None:
    """Without totalCount in the selection, no row is counted."""
    async with service.browser() as owner:
        community = await _owned(service, owner)
        with recorded_statements() as requested:
            await owner.ask(_PAGE, id=community, first=10)
        with recorded_statements() as unselected:
            await owner.ask(_PAGE.replace("totalCount", ""), id=community, first=10)
    assert len(unselected) == len(requested) - 1


async def _documents(browser: Browser) -> tuple[float, float]:
    """Returns the hits and misses of the document cache since the process started."""
    text = (await browser.client.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {s.labels["found"]: s.value for s in samples if s.name == "guestlist_graphql_documents_total"}
    return found.get("kept", 0), found.get("new", 0)


async def test_repeated_operation_is_parsed_and_validated_once(service: Service) -> None:
    """The second run of an operation with other variables uses the cached document."""
    query = f"query($id: ID!) {{ {new_id('once')}: node(id: $id) {{ id }} }}".replace(
        "-", "_"
    )  # a document that is not in the cache
    async with service.browser() as browser:
        kept, new = await _documents(browser)
        await browser.ask(query, id="com_1")
        assert await _documents(browser) == (kept, new + 1)
        await browser.ask(query, id="com_2")
        assert await _documents(browser) == (kept + 1, new + 1)


async def test_document_cache_has_a_bound_in_bytes(service: Service) -> None:
    """H122: many different documents, and very long ones, keep the cache within its bound."""
    documents = service.app.state.guestlist.graphql.schema.documents
    async with service.browser() as browser:
        for number in range(100):
            fields = " ".join(f"f{number}_{index}: __typename" for index in range(1, 15))
            await browser.ask(f"{{ {fields} }} # {'x' * 20_000}")
        await browser.ask(f"{{ __typename }} # {'x' * 100_000}")
        assert sum(len(text) for text in documents._cache) <= 300_000
        kept, new = await _documents(browser)
        await browser.ask(f"{{ {fields} }} # {'x' * 20_000}")
        assert await _documents(browser) == (kept + 1, new)


async def test_invite_answer_equals_a_later_read(service: Service) -> None:
    """inviteMember answers without reading the row back. A query of the invitation returns the same."""
    fields = """id email role message locale status blockedReason delivery deliveryReason createdAt expiresAt lastSentAt
      deliveredAt acceptedAt declinedAt revokedAt proposedEmail canResend canResendAt canRevoke
      inviter { id name email createdAt } revokedBy { id } acceptedBy { id } community { id name viewerRole }"""
    mutation = f"""mutation($input: InviteMemberInput!) {{ inviteMember(input: $input) {{ ...on InviteMemberSuccess {{
      invitation {{ {fields} }} }} }} }}"""
    async with service.browser() as owner:
        community = await _owned(service, owner)
        expected = {
            "communityId": community,
            "email": "New@Example.com",
            "role": "ADMIN",
            "message": "Hello",
            "locale": "de",
        }
        answered = (await owner.ask(mutation, input=expected))["inviteMember"]["invitation"]
        read = (await owner.ask(f"query($id: ID!) {{ invitation(id: $id) {{ {fields} }} }}", id=answered["id"]))[
            "invitation"
        ]
    assert answered == read
    assert (answered["email"], answered["role"], answered["canResend"]) == ("new@example.com", "ADMIN", True)


async def test_rows_are_freed_with_their_answer(service: Service) -> None:
    """The rows of a page are freed with its answer, without the garbage collector."""
    async with service.browser() as owner:
        community = await _owned(service, owner)
        await _fill(service, community, 100)
        gc.collect()
        gc.disable()
        try:
            page = (await owner.ask(_PAGE, id=community, first=100))["community"]["invitations"]
            alive = sum(isinstance(each, InvitationView) for each in gc.get_objects())
        finally:
            gc.enable()
    assert (len(page["nodes"]), alive) == (100, 0)
