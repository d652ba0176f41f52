"""Limits on operations are checked before any resolver runs, and production reveals nothing of the schema."""

import time
from collections import Counter as Counted
from typing import Any

import httpx2
import pytest
from graphql import (
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_interface_type,
    is_list_type,
    is_object_type,
)
from prometheus_client.parser import text_string_to_metric_families

from schema.limits.cost import ROWS
from service import database
from service.models import Counter, Flow
from service.web.middleware import INTERNAL_ERROR
from tests.conftest import Serve
from tests.schema.test_contract import RUNNING
from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def _errors(client: httpx2.AsyncClient, query: str) -> list[str]:
    answer = await client.post("/graphql", json={"query": query})
    assert answer.status_code in {200, 400}, answer.text
    return [error["message"] for error in answer.json().get("errors", [])]


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { types { name } } }",
        '{ __type(name: "Member") { fields { name } } }',
        "query { viewer { ...f } } fragment f on Viewer { __schema { types { name } } }",
    ],
)
async def test_production_has_no_introspection(production: httpx2.AsyncClient, query: str) -> None:
    """H116: production refuses introspection."""
    answer = await production.post("/graphql", json={"query": query})
    assert answer.json().get("data") is None
    assert answer.json()["errors"]
    assert "Membership" not in answer.text


async def test_production_suggests_nothing(production: httpx2.AsyncClient) -> None:
    """H116: an error about a misspelt field, argument or type names no other."""
    for query in ("{ viewr { member { id } } }", "{ providers { lable } }", '{ invitePreview(tokn: "x") { role } }'):
        for message in await _errors(production, query):
            assert "did you mean" not in message.lower()
            assert not [name for name in ("viewer", "label", "token") if f"'{name}'" in message]


async def test_production_has_no_ide(production: httpx2.AsyncClient) -> None:
    """H116: a browser that opens /graphql gets no GraphiQL."""
    answer = await production.get("/graphql", headers={"accept": "text/html"})
    assert (answer.status_code, "graphiql" in answer.text.lower()) == (405, False)


_ALIASES = " ".join(
    f'a{n}: acceptInvite(input: {{token: "x", providerId: "acme"}}) {{ __typename }}' for n in range(2000)
)
_TWICE = "{ ...f0 } fragment f40 on Query { providers { id } } " + " ".join(
    f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(40)
)
_PAGES = "{ viewer { memberships { community { invitations(first: 99) { nodes { community { memberships { nodes { community { auditLog(first: 99) { nodes { id } } } } } } } } } } } }"
_DEEP = "{ viewer { memberships { community { memberships { nodes { community { memberships { nodes { community { memberships { nodes { community { memberships { nodes { id } } } } } } } } } } } } } } }"


@pytest.mark.parametrize(
    "query",
    [
        f"mutation {{ {_ALIASES} }}",
        "mutation { " + " ".join(_ALIASES.split("a16:")[0:1]) + ' z: acceptInvite(input: {token: "x", providerId: "acme"}) { __typename } }',
        _DEEP,
        "{ viewer { " * 300 + "member { id }" + " } }" * 300,
        "query { providers { id " + "@include(if: true) " * 5000 + "} }",
        "{ " + "providers { id } " * 20000 + "}",
        "query a { providers { id } } query b { providers { id } }",
        "{ ...f } fragment f on Query { ...g } fragment g on Query { ...f }",
        "query($v: " + "[" * 200 + "Int" + "]" * 200 + ") { providers { id } }",
        "{ " + " ".join(f"...f{n}" for n in range(200)) + " } " + " ".join(f"fragment f{n} on Query {{ providers {{ id }} }}" for n in range(200)),
        _TWICE,
        "{ viewer { ...f0 } } " + _TWICE.partition("} ")[2].replace("on Query", "on Viewer").replace("providers", "member"),
        "{ ...a } fragment a on Query { " + " ".join(f"b{n}: providers {{ id }}" for n in range(16)) + " }",
        _PAGES,
        _PAGES.replace("first: 99", "first: $n").replace("{ viewer", "query($n: Int) { viewer", 1),
        "{ " + "providers { id } " * 151 + "}",
        "{ viewer { member { " + "id " * 599 + "} } }",
        "fragment f on Query { providers { id } }",
        "type Query { providers: Int }",
    ],
    ids=["2000-aliases", "17-aliases", "depth-14", "depth-600", "5000-directives", "20000-fields", "two-operations", "fragment-cycle", "deep-variable", "200-fragments",
         "fragments-spread-twice", "fragments-of-a-viewer-spread-twice", "16-aliases-in-a-fragment", "pages-in-pages", "pages-of-a-variable", "151-nested-fields", "601-fields", "no-operation", "a-type"],
)  # fmt: skip
async def test_expensive_operations_are_refused_before_they_run(production: httpx2.AsyncClient, query: str) -> None:
    """H118, H121, H122: each is refused quickly, in words, and none of its resolvers ran."""
    began = time.perf_counter()
    assert await _errors(production, query)
    assert time.perf_counter() - began < 5
    assert (await Flow.all().count(), await Counter.all().count()) == (0, 0)


def test_every_list_of_the_schema_has_a_limit() -> None:
    """H200: each list field has an entry with its maximum number of items, and every entry has a field."""
    kinds = [kind for kind in RUNNING.type_map.values() if is_object_type(kind) or is_interface_type(kind)]
    lists = {
        f"{kind.name}.{name}": field
        for kind in kinds
        if not kind.name.startswith("__")
        for name, field in kind.fields.items()
        if is_list_type(get_nullable_type(field.type))
    }
    assert lists.keys() == ROWS.keys()
    nested = [name for name, field in lists.items() if is_list_type(_item(field.type))]
    assert not nested, "A list of lists has one bound only."


def test_every_page_counts_by_its_argument() -> None:
    """H122, H200: each field with `first` returns a connection, whose lists count as many rows as `first`."""
    kinds = [kind for kind in RUNNING.type_map.values() if isinstance(kind, GraphQLObjectType)]
    paged = [field for kind in kinds for field in kind.fields.values() if "first" in field.args]
    assert len(paged) >= 4
    for field in paged:
        page = get_named_type(field.type)
        assert isinstance(page, GraphQLObjectType)
        lists = {name for name, part in page.fields.items() if is_list_type(get_nullable_type(part.type))}
        assert {ROWS[f"{page.name}.{name}"].argument for name in lists} == {"first"}
        assert int(field.args["first"].default.literal.value) == ROWS[f"{page.name}.nodes"].usual


def _item(kind: Any) -> Any:
    return get_nullable_type(get_nullable_type(kind).of_type)


async def test_nested_pages_are_limited(production: httpx2.AsyncClient) -> None:
    """Two nested full pages are answered. In every community of a person they are refused."""
    part = "community { invitations(first: 100) { nodes { timeline(first: 100) { nodes { id } } } } memberships { nodes { member { id } } } }"
    answer = await production.post(
        "/graphql", json={"query": "{ " + part.replace("community", 'community(id: "x")') + " }"}
    )
    assert answer.json() == {"data": {"community": None}}
    (message,) = await _errors(production, "{ viewer { memberships { " + part + " } } }")
    assert message.startswith("2030200 rows in lists found. Allowed: 20000.")


async def test_a_second_operation_by_name_is_refused(production: httpx2.AsyncClient) -> None:
    """A request has one operation, even when operationName selects one of several."""
    body = {"query": "query a { providers { id } } query b { providers { id } }", "operationName": "b"}
    answer = await production.post("/graphql", json=body)
    assert answer.json()["data"] is None
    assert [error["message"] for error in answer.json()["errors"]] == ["2 operations found. Exactly one was expected."]


@pytest.mark.parametrize("query", ["query a { providers { id } }", "{ providers { id } }"], ids=["named", "unnamed"])
@pytest.mark.parametrize("name", ["b", "", "\u0000", "x" * 1000], ids=["other", "empty", "nul", "long"])
async def test_unknown_operation_name_is_an_error_in_words(
    production: httpx2.AsyncClient, query: str, name: str
) -> None:
    """An operationName without an operation runs nothing, and gets an error that is not an internal one."""
    answer = await production.post("/graphql", json={"query": query, "operationName": name})
    assert answer.status_code == 200
    assert answer.json() == {
        "errors": [
            {"message": f"Unknown operation named '{name}'.", "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}}
        ],
        "data": None,
    }


async def test_refused_operations_keep_the_caches_of_others(production: httpx2.AsyncClient) -> None:
    """After a hundred refused floods, a repeated operation is still cached."""
    await production.post("/graphql", json={"query": "{ providers { id label } }"})
    for number in range(100):
        await _errors(production, "{ " + f"p{number}: providers {{ id }} " * 20 + "}")
    before = await _kept_documents(production)
    await production.post("/graphql", json={"query": "{ providers { id label } }"})
    assert await _kept_documents(production) == before + 1


async def _kept_documents(client: httpx2.AsyncClient) -> float:
    """The number of operations that used a cached document."""
    text = (await client.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(
        s.value for s in samples if s.name == "guestlist_graphql_documents_total" and s.labels["found"] == "kept"
    )


async def test_unexpected_errors_are_masked(serve: Serve) -> None:
    """H117, H165: with the database gone, an operation answers in plain words, without details of the failure."""
    async with serve() as service, service.browser() as browser:
        await browser.accept_as(await service.token_for("owner@example.com"), "owner@example.com")
        await database.execute("ALTER TABLE counters RENAME TO counters_gone")
        answer = await browser.post('{ invitePreview(token: "x") { role } }')
        assert answer.status_code == 200
        assert [error["message"] for error in answer.json()["errors"]] == [str(INTERNAL_ERROR)]
        assert "counters" not in answer.text
        await database.execute("ALTER TABLE counters_gone RENAME TO counters")


@pytest.mark.parametrize(
    ("head", "variables", "words"),
    [
        ("($input: AcceptInviteInput!) { acceptInvite(input: $input)", {"input": {"token": "SECRET"}}, "'providerId'"),
        ("($input: AcceptInviteInput!) { acceptInvite(input: $input)", {"input": "SECRET"}, "to be an object"),
        (
            "($input: DeclineInviteInput!) { declineInvite(input: $input)",
            {"input": {"token": ["SECRET"]}},
            "non string",
        ),
        ("($input: DeclineInviteInput!) { declineInvite(input: $input)", {"input": {"block": "SECRET"}}, "non boolean"),
        ("($input: InviteMemberInput!) { inviteMember(input: $input)", {"input": {"tokn": "SECRET"}}, "'tokn'"),
        ('{ declineInvite(input: {token: ["SECRET"]})', {}, "non string"),
    ],
)
async def test_invalid_variable_is_named_and_not_repeated(
    production: httpx2.AsyncClient, head: str, variables: dict[str, Any], words: str
) -> None:
    """H098: the error names the variable or field and the reason, and never its value, which can be a token."""
    answer = await production.post(
        "/graphql", json={"query": f"mutation{head} {{ __typename }} }}", "variables": variables}
    )
    messages = " ".join(error["message"] for error in answer.json()["errors"])
    assert words in messages
    assert "SECRET" not in answer.text
    assert str(INTERNAL_ERROR) not in messages


async def test_attempts_are_counted_by_resolver_call(serve: Serve) -> None:
    """H118, H136: aliases in one request are separate attempts. Above the limit each further one is RateLimited."""
    async with serve(rate_limits={"attempts_per_client": "10/1m"}) as service, service.browser() as browser:
        query = "mutation { " + " ".join(
            f'a{n}: acceptInvite(input: {{token: "x", providerId: "dev"}}) {{ __typename ...on RateLimited {{ retryAfterSeconds }} }}'
            for n in range(12)
        ) + " }"  # fmt: skip
        answers = list((await browser.ask(query)).values())
        assert [answer["__typename"] for answer in answers] == ["InviteLinkInvalid"] * 10 + ["RateLimited"] * 2
        assert 0 < answers[-1]["retryAfterSeconds"] <= 60
        (message,) = await browser.errors('{ invitePreview(token: "x") { role } }')
        assert "Too many attempts" in message
        token = await service.token_for("owner@example.com")
        assert (await browser.accept(token))["__typename"] == "RateLimited"
        service.clock.advance(minutes=1)
        assert (await browser.accept(token))["__typename"] == "AcceptInviteStarted"


async def test_forwarded_addresses_count_from_trusted_proxies_only(serve: Serve) -> None:
    """H137: a client remains one client for all values of its header. Behind trusted proxies it is the last address
    that is not a proxy, IPv6 by its /64.
    """
    query = 'mutation { declineInvite(input: {token: "x"}) { __typename } }'

    async def admitted(service: Service, forwarded: str) -> int:
        """The number of six attempts that are not RateLimited. `forwarded` has a placeholder for the attempt's number."""
        service.clock.advance(minutes=2)
        found = []
        async with service.browser() as browser:
            for number in range(6):
                reported = forwarded.format(number)
                headers = {
                    "x-forwarded-for": reported,
                    "x-real-ip": reported,
                    "forwarded": f"for={reported}",
                    "client-ip": reported,
                }
                answer = await browser.client.post("/graphql", json={"query": query}, headers=headers)
                found.append(answer.json()["data"]["declineInvite"]["__typename"])
        return found.count("InviteLinkInvalid")

    few = {"attempts_per_client": "3/1m"}
    async with serve(rate_limits=few) as service:
        assert await admitted(service, "203.0.113.{}") == 3
    async with serve(rate_limits=few, trusted_proxies=["127.0.0.1", "10.0.0.0/8"], demo=False) as service:
        assert await admitted(service, "203.0.113.{}") == 6
        assert await admitted(service, "198.51.100.{}, 203.0.113.20") == 3
        assert await admitted(service, "198.51.100.{}, 203.0.113.21, 10.1.2.3") == 3
        assert await admitted(service, "203.0.113.22:100{}") == 3
        assert await admitted(service, "2001:db8:1:1::{}") == 3
        assert await admitted(service, "2001:db8:1:{}::1") == 6


async def test_thousand_guesses_affect_no_other_client(serve: Serve) -> None:
    """H136: of 1,000 wrong tokens of one client sixty are checked. An invitee elsewhere accepts during this time, and
    the guesser's own link still works one minute later.
    """
    query = 'mutation($t: String) { acceptInvite(input: {token: $t, providerId: "dev"}) { __typename } }'
    limits = {"attempts_per_client": "60/1m"}
    async with serve(rate_limits=limits, trusted_proxies=["127.0.0.1"]) as service:
        token = await service.token_for("owner@example.com")
        async with service.browser(**{"x-forwarded-for": "203.0.113.1"}) as guesser:
            found: Counted[str] = Counted()
            for number in range(1000):
                answer = await guesser.ask(query, t=f"{number:043}")
                found[answer["acceptInvite"]["__typename"]] += 1
            assert found == {"InviteLinkInvalid": 60, "RateLimited": 940}
            assert (await guesser.accept(token))["__typename"] == "RateLimited"
            async with service.browser(**{"x-forwarded-for": "203.0.113.2"}) as elsewhere:
                assert (await elsewhere.accept(token))["__typename"] == "AcceptInviteStarted"
            service.clock.advance(minutes=1)
            assert (await guesser.accept_as(token, "owner@example.com"))["status"] == "ACCEPTED"
