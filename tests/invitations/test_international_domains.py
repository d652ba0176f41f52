"""International domains in lists, filters, sentences, files and mails: as people write them."""

import csv
import io
import unicodedata

import pytest

from tests.support.members import audit_sentences, join_owner, update_policy
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

STORED = "alice@xn--bcher-kva.example"
WRITTEN = "alice@bücher.example"

SEARCH = """query($id: ID!, $part: String!) { community(id: $id) {
  invitations(filter: {emailContains: $part}) { nodes { email displayEmail } totalCount } } }"""


async def _found(owner: Browser, community: str, part: str) -> list[str]:
    """Returns the addresses that a search finds, which are as many as it counts."""
    page = (await owner.ask(SEARCH, id=community, part=part))["community"]["invitations"]
    assert page["totalCount"] == len(page["nodes"]), part
    return sorted(node["displayEmail"] for node in page["nodes"])


async def test_search_finds_addresses_as_people_write_them(service: Service) -> None:
    """A part of the written form finds the address, and so does a part of the stored one. Other domains do not match."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        assert (await owner.invite(community, WRITTEN))["invitation"]["email"] == STORED
        await owner.invite(community, "b_b@bücherei.example")
        await owner.invite(community, "carol@bucher.example")
        await owner.invite(community, "dave@почта.example")
        await owner.invite(community, "eve@xn--80ak6aa92e.com")
        books = [WRITTEN, "b_b@bücherei.example"]
        for part, expected in {
            "bücher.example": [WRITTEN],
            "BÜCHER": books,
            unicodedata.normalize("NFD", "büch"): books,
            "cherei": ["b_b@bücherei.example"],
            "cher": sorted([*books, "carol@bucher.example"]),
            "@bü": books,
            "ce@bücher": [WRITTEN],
            WRITTEN: [WRITTEN],
            "b_b@bü": ["b_b@bücherei.example"],
            "bob@bü": [],
            "_b@bücherei.example": ["b_b@bücherei.example"],
            "%@bü": [],
            "xn--bcher-kva": [WRITTEN],
            "ПОЧТА": ["dave@почта.example"],
            "\u0430\u0440\u0440\u04cf\u0435": [],  # "apple" in Cyrillic, which is shown as its A-label
            "xn--80ak": ["eve@xn--80ak6aa92e.com"],
        }.items():
            assert await _found(owner, community, part) == sorted(expected), part


async def test_other_communities_do_not_matter_to_a_search(service: Service) -> None:
    """A search selects the international domains of its own community only."""
    create = (
        'mutation { createCommunity(input: {name: "Other"}) { ...on CreateCommunitySuccess { community { id } } } }'
    )
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        other = (await owner.ask(create))["createCommunity"]["community"]["id"]
        await owner.invite(other, WRITTEN)
        both = """query($one: ID!, $other: ID!) {
            one: community(id: $one) { invitations(filter: {emailContains: "büch"}) { totalCount nodes { email } } }
            other: community(id: $other) { invitations(filter: {emailContains: "büch"}) { totalCount nodes { email } } } }"""
        found = await owner.ask(both, one=community, other=other)
        assert [found[name]["invitations"]["totalCount"] for name in ("one", "other")] == [0, 1]
        assert [node["email"] for node in found["other"]["invitations"]["nodes"]] == [STORED]


async def test_sentences_files_and_mails_show_the_written_form(service: Service) -> None:
    """The preview, refusals, the audit log, the export and the mail name the domain as people write it."""
    async with service.browser() as owner, service.browser() as guest:
        community = await join_owner(service, owner)
        policy = await update_policy(owner, community, allowedEmailDomains=["bücher.example", "example.com"])
        assert policy["community"]["policy"]["allowedEmailDomains"] == ["example.com", "xn--bcher-kva.example"]
        domains = "query($id: ID!) { community(id: $id) { policy { displayEmailDomains } } }"
        shown = (await owner.ask(domains, id=community))["community"]["policy"]["displayEmailDomains"]
        assert shown == ["example.com", "bücher.example"]
        refused = await owner.invite(community, "x@elsewhere.example")
        assert "example.com and bücher.example" in refused["message"]
        assert "example.com, bücher.example" in (await audit_sentences(owner, community, "policy.changed"))[0]
        await owner.invite(community, WRITTEN)
        mail = await service.mail_to(STORED)
        assert "alice@\u202fbücher.\u202fexample" in mail.text
        assert "xn--" not in mail.text
        token = await service.token_for(STORED)
        preview = "query($token: String) { invitePreview(token: $token) { maskedEmail } }"
        assert (await guest.ask(preview, token=token))["invitePreview"]["maskedEmail"] == "a•••@bücher.example"
        refusal = await guest.accept_as(token, "other@example.com")
        assert (refusal["status"], refusal["maskedEmail"]) == ("EMAIL_MISMATCH", "a•••@bücher.example")
        assert "this invitation is for a•••@bücher.example" in refusal["message"]
        exported = (await owner.client.get(f"/export/{community}/invitations.csv?emailContains=büch")).text
        assert [row["email"] for row in csv.DictReader(io.StringIO(exported))] == [WRITTEN]
        member = await guest.accept_as(token, WRITTEN)
        assert member["status"] == "ACCEPTED"
        account = await guest.ask("{ viewer { member { email displayEmail } identities { displayEmail } } }")
        assert account["viewer"]["member"] == {"email": STORED, "displayEmail": WRITTEN}
        assert account["viewer"]["identities"] == [{"displayEmail": WRITTEN}]
