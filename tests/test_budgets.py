"""Statement budgets: how many SQL statements the hot paths run, whatever the tables' size; and caches that hit."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from strawberry.extensions.parser_cache import _get_parse_cache
from strawberry.extensions.validation_cache import _get_validate_cache

from service.models import Invitation
from service.tokens import new_id
from tests.story import Browser, Service

pytestmark = pytest.mark.anyio

OWNER = "owner@example.com"


class _Statements(logging.Handler):
    """Counts what Tortoise says that it runs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.getMessage())


@contextmanager
def counted() -> Iterator[list[str]]:
    """The SQL statements that run inside, BEGIN and COMMIT left out, which no budget of ours could save."""
    logger, handler = logging.getLogger("tortoise.db_client"), _Statements()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield handler.seen
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


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


async def test_inviting_takes_at_most_ten_statements(service: Service) -> None:
    """inviteMember runs at most 10 statements, and as many beside a thousand invitations as beside none."""
    async with service.browser() as owner:
        community = await _owned(service, owner)
        with counted() as first:
            assert (await owner.invite(community, "one@example.com"))["__typename"] == "InviteMemberSuccess"
        await _fill(service, community, 1000)
        with counted() as second:
            assert (await owner.invite(community, "two@example.com"))["__typename"] == "InviteMemberSuccess"
    assert 0 < len(first) == len(second) <= 10, "\n".join(second)


async def test_accepting_takes_at_most_twenty_statements(service: Service) -> None:
    """The accepting callback runs at most 20 statements, also for somebody who is signed in already."""
    async with service.browser() as owner:
        community = await _owned(service, owner)
        await _fill(service, community, 1000)
        await owner.invite(community, "guest@example.com")
        started = await owner.accept(await service.token_for("guest@example.com"))
        callback = await owner.callback_url(started["authorizationUrl"], "guest@example.com")
        with counted() as statements:
            await owner.client.get(callback)
        assert (await owner.acceptance())["status"] == "ACCEPTED"
    assert 0 < len(statements) <= 20, "\n".join(statements)


async def test_a_page_of_a_hundred_takes_at_most_five_statements(service: Service) -> None:
    """A page of 100 invitations, with counts and inviters, runs at most 5 statements, and as many as a page of 10."""
    async with service.browser() as owner:
        community = await _owned(service, owner)
        await _fill(service, community, 250)
        with counted() as small:
            await owner.ask(_PAGE, id=community, first=10)
        with counted() as large:
            page = (await owner.ask(_PAGE, id=community, first=100))["community"]["invitations"]
    assert (len(page["nodes"]), page["totalCount"], page["pageInfo"]["hasNextPage"]) == (100, 251, True)
    assert 0 < len(small) == len(large) <= 5, "\n".join(large)


async def test_counting_all_is_done_only_when_asked(service: Service) -> None:
    """Without totalCount in the selection nothing is counted."""
    async with service.browser() as owner:
        community = await _owned(service, owner)
        with counted() as asked:
            await owner.ask(_PAGE, id=community, first=10)
        with counted() as not_asked:
            await owner.ask(_PAGE.replace("totalCount", ""), id=community, first=10)
    assert len(not_asked) == len(asked) - 1


async def test_a_repeated_operation_is_parsed_and_validated_once(service: Service) -> None:
    """The second run of an operation comes from the parse cache and the validation cache."""
    caches = (_get_parse_cache(128), _get_validate_cache(128))
    async with service.browser() as browser:
        await browser.ask("{ providers { id label } }")
        before = [cache.cache_info() for cache in caches]  # type: ignore[attr-defined]
        await browser.ask("{ providers { id label } }")
        after = [cache.cache_info() for cache in caches]  # type: ignore[attr-defined]
    assert [(now.hits - then.hits, now.misses - then.misses) for then, now in zip(before, after, strict=True)] == [
        (1, 0),
        (1, 0),
    ]
