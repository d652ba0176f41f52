"""What an operation may cost is judged before any resolver runs, and production tells nothing of the schema."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from graphql import GraphQLObjectType
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from schema.root import MASKED
from schema.rules import PAGED
from service import database
from service.app import create_app
from service.models import Counter, Flow
from service.settings import load_settings
from tests.conftest import Serve, bound_socket, running
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET
from tests.story import Service
from tests.test_contract import RUNNING

pytestmark = pytest.mark.anyio


@pytest.fixture
async def production(database_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """The application as `guestlist serve` makes it, on loopback."""
    with bound_socket() as listening:
        url = f"http://localhost:{listening.getsockname()[1]}"
        provider = {
            "issuer": "https://login.acme.example",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "email_domains": ["*"],
        }
        settings = load_settings(
            environ={},
            public_url=url,
            database_url=database_url,
            providers={"acme": provider},
            rate_limits={"attempts_per_client": "1000000/1m"},
        )
        app: Starlette = create_app(settings)
        async with running(app, listening), httpx2.AsyncClient(base_url=url, timeout=20) as client:
            yield client


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
    """H116: the schema's shape cannot be asked for in production."""
    answer = await production.post("/graphql", json={"query": query})
    assert answer.json().get("data") is None
    assert answer.json()["errors"]
    assert "Membership" not in answer.text


async def test_production_suggests_nothing(production: httpx2.AsyncClient) -> None:
    """H116: a misspelt field, argument or type is an error that names no other."""
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
_PAGES = "{ viewer { memberships { community { memberships(first: 99) { nodes { community { memberships(first: 99) { nodes { id } } } } } } } } }"
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
        "{ " + "providers { id } " * 160 + "}",
        "fragment f on Query { providers { id } }",
        "type Query { providers: Int }",
    ],
    ids=["2000-aliases", "17-aliases", "depth-14", "depth-600", "5000-directives", "20000-fields", "two-operations", "fragment-cycle", "deep-variable", "200-fragments",
         "fragments-spread-twice", "fragments-of-a-viewer-spread-twice", "16-aliases-in-a-fragment", "pages-in-pages", "pages-of-a-variable", "320-fields", "no-operation", "a-type"],
)  # fmt: skip
async def test_costly_operations_are_refused_before_they_run(production: httpx2.AsyncClient, query: str) -> None:
    """H118, H121, H122: each is refused quickly, in words, and no resolver of it ran."""
    began = time.perf_counter()
    assert await _errors(production, query)
    assert time.perf_counter() - began < 5
    assert (await Flow.all().count(), await Counter.all().count()) == (0, 0)


def test_every_field_with_pages_is_weighed() -> None:
    """H122: the fields that give pages, wherever they stand in the schema, are those whose rows are counted."""
    kinds = [kind for kind in RUNNING.type_map.values() if isinstance(kind, GraphQLObjectType)]
    fields = [(name, field) for kind in kinds for name, field in kind.fields.items()]
    assert {name for name, field in fields if "first" in field.args} == PAGED


async def test_what_the_pages_ask_is_within_the_limits(production: httpx2.AsyncClient) -> None:
    """Two full pages one inside the other, which an export by hand needs, are answered."""
    query = "query($id: ID!) { community(id: $id) { invitations(first: 100) { nodes { timeline(first: 100) { nodes { id } } } } } }"
    answer = await production.post("/graphql", json={"query": query, "variables": {"id": "x"}})
    assert answer.json() == {"data": {"community": None}}


async def test_a_second_operation_by_name_is_refused(production: httpx2.AsyncClient) -> None:
    """One operation a request, also when operationName picks one of several."""
    body = {"query": "query a { providers { id } } query b { providers { id } }", "operationName": "b"}
    answer = await production.post("/graphql", json=body)
    assert answer.json()["data"] is None
    assert [error["message"] for error in answer.json()["errors"]] == ["2 operations found. Exactly one was expected."]


@pytest.mark.parametrize("query", ["query a { providers { id } }", "{ providers { id } }"], ids=["named", "unnamed"])
@pytest.mark.parametrize("name", ["b", "", "\u0000", "x" * 1000], ids=["other", "empty", "nul", "long"])
async def test_another_operations_name_is_an_error_in_words(
    production: httpx2.AsyncClient, query: str, name: str
) -> None:
    """An operationName that is not the operation's own runs nothing, says so, and is no failure of the service's."""
    answer = await production.post("/graphql", json={"query": query, "operationName": name})
    assert answer.status_code == 200
    assert answer.json() == {
        "errors": [{"message": f"Unknown operation named '{name}'."}],
        "data": None,
    }


async def test_refused_operations_leave_the_caches_of_others(production: httpx2.AsyncClient) -> None:
    """After a hundred refused floods a repeated operation is still one that was checked before."""
    await production.post("/graphql", json={"query": "{ providers { id label } }"})
    for number in range(100):
        await _errors(production, "{ " + f"p{number}: providers {{ id }} " * 20 + "}")
    before = await _kept_documents(production)
    await production.post("/graphql", json={"query": "{ providers { id label } }"})
    assert await _kept_documents(production) == before + 1


async def _kept_documents(client: httpx2.AsyncClient) -> float:
    """How many operations took a document that was checked before."""
    text = (await client.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(
        s.value for s in samples if s.name == "guestlist_graphql_documents_total" and s.labels["found"] == "kept"
    )


async def test_unexpected_errors_are_masked(serve: Serve) -> None:
    """H117, H165: with the database gone an operation answers in plain words, with no trace of what it was."""
    async with serve() as service, service.browser() as browser:
        await browser.accept_as(await service.token_for("owner@example.com"), "owner@example.com")
        await database.execute("ALTER TABLE counters RENAME TO counters_gone")
        answer = await browser.post('{ invitePreview(token: "x") { role } }')
        assert answer.status_code == 200
        assert [error["message"] for error in answer.json()["errors"]] == [MASKED]
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
async def test_a_variable_that_does_not_fit_is_named_and_not_repeated(
    production: httpx2.AsyncClient, head: str, variables: dict[str, Any], words: str
) -> None:
    """H098: the answer says which variable or field does not fit and why, and never its value, which may be a token."""
    answer = await production.post(
        "/graphql", json={"query": f"mutation{head} {{ __typename }} }}", "variables": variables}
    )
    messages = " ".join(error["message"] for error in answer.json()["errors"])
    assert words in messages
    assert "SECRET" not in answer.text
    assert MASKED not in messages


async def test_attempts_are_counted_by_resolver_call(serve: Serve) -> None:
    """H118, H136: aliases in one request are so many attempts; over the limit each further one is RateLimited."""
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
    """H137: a client that changes X-Forwarded-For is still one client; behind a trusted proxy its clients are several."""
    query = 'mutation { declineInvite(input: {token: "x"}) { __typename } }'

    async def kinds(service: Service) -> list[str]:
        found = []
        async with service.browser() as browser:
            for number in range(6):
                headers = {"x-forwarded-for": f"203.0.113.{number}"}
                answer = await browser.client.post("/graphql", json={"query": query}, headers=headers)
                found.append(answer.json()["data"]["declineInvite"]["__typename"])
        return found

    async with serve(rate_limits={"attempts_per_client": "3/1m"}) as service:
        assert await kinds(service) == ["InviteLinkInvalid"] * 3 + ["RateLimited"] * 3
    async with serve(rate_limits={"attempts_per_client": "3/1m"}, trusted_proxies=["127.0.0.1"], demo=False) as service:
        service.clock.advance(minutes=2)
        assert await kinds(service) == ["InviteLinkInvalid"] * 6
