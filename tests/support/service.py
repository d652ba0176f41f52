"""The served application, and browsers that use it over HTTP."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import orjson
from starlette.applications import Starlette

from service.delivery.worker import Worker
from service.mail.mailbox import Mailbox, MailboxEntry
from service.settings import Settings

_TRUST = httpx2.create_ssl_context()  # created once: it takes longer than a sign-in
_LINK = re.compile(r"https?://[^\s#]+/confirm#([A-Za-z0-9_-]+)")
_ACTION = re.compile(r'<form[^>]*action="([^"]+)"')


@dataclass
class TestClock:
    """A clock that changes only when a test advances it."""

    __test__ = False
    time: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **units: float) -> None:
        self.time += timedelta(**units)


def http_client(base_url: str = "", **options: Any) -> httpx2.AsyncClient:
    """Returns a client without a browser's headers, like a script's."""
    return httpx2.AsyncClient(base_url=base_url, verify=_TRUST, **{"timeout": 20, **options})


@dataclass
class Service:
    """The real application on a loopback server, and its mailbox."""

    url: str
    settings: Settings
    app: Starlette
    clock: TestClock
    worker: Worker
    mailbox: Mailbox
    loopback: str = ""  # the address of the server, independent of the public URL

    async def deliver(self) -> None:
        """Delivers all due mails."""
        while await self.worker.deliver_due():
            pass

    async def mail_to(self, address: str) -> MailboxEntry:
        """Returns the newest mail to an address. Delivers waiting mails first."""
        await self.deliver()
        return next(entry for entry in self.mailbox.entries if entry.to == address)

    async def token_for(self, address: str) -> str:
        """Returns the token of the link in the newest mail to an address."""
        return token_in(await self.mail_to(address))

    @asynccontextmanager
    async def browser(self, **headers: str) -> AsyncIterator["Browser"]:
        origin = {"origin": self.url, "user-agent": "Test browser"} | headers
        async with http_client(self.url, headers=origin) as client:
            yield Browser(self, client)


def token_in(mail: MailboxEntry) -> str:
    found = _LINK.search(mail.text)
    assert found is not None, "the mail carries no link"
    return found[1]


@dataclass
class Browser:
    """A browser with a cookie jar. It sends GraphQL, and follows the links of the provider's pages."""

    service: Service
    client: httpx2.AsyncClient

    async def post(self, query: str, **variables: Any) -> httpx2.Response:
        return await self.client.post("/graphql", json={"query": query, "variables": variables})

    async def ask(self, query: str, **variables: Any) -> Any:
        """Returns the data of an operation. An error fails the test."""
        response = await self.post(query, **variables)
        body = orjson.loads(response.content)
        assert "errors" not in body, body
        return body["data"]

    async def errors(self, query: str, **variables: Any) -> list[str]:
        """Returns the messages of an operation's errors."""
        body = orjson.loads((await self.post(query, **variables)).content)
        return [error["message"] for error in body.get("errors", [])]

    async def accept(self, token: str | None, *, provider: str = "dev", **arguments: Any) -> Any:
        """Returns the answer of acceptInvite."""
        fields = {"providerId": provider, **({} if token is None else {"token": token}), **arguments}
        return (await self.ask(ACCEPT, input=fields))["acceptInvite"]

    async def log_in(
        self, authorization_url: str, email: str, *, verified: bool = True, sub: str | None = None
    ) -> httpx2.Response:
        """Signs in on the provider's page, and follows its redirect. Returns the answer of the service."""
        return await self.client.get(await self.callback_url(authorization_url, email, verified=verified, sub=sub))

    async def callback_url(
        self, authorization_url: str, email: str, *, verified: bool = True, sub: str | None = None
    ) -> str:
        """Returns the redirect of the provider after a sign-in on its page."""
        page = await self.client.get(authorization_url)
        assert page.status_code == 200, page.text
        action = _ACTION.search(page.text)
        assert action is not None, page.text
        fields = {"email": email} | ({"email_verified": "on"} if verified else {}) | ({"sub": sub} if sub else {})
        answer = await self.client.post(str(page.url.join(action[1])), data=fields)
        assert answer.status_code in {302, 303}, answer.text
        return str(answer.headers["location"])

    async def accept_as(self, token: str | None, email: str, **login: Any) -> Any:
        """Accepts a link and signs in. Returns the acceptance."""
        started = await self.accept(token)
        assert started["__typename"] == "AcceptInviteStarted", started
        await self.log_in(started["authorizationUrl"], email, **login)
        return await self.acceptance()

    async def acceptance(self, id: str | None = None) -> Any:
        return (await self.ask(ACCEPTANCE, id=id))["acceptance"]

    async def sign_in(self, email: str, **login: Any) -> Any:
        """Signs in without an invitation. Returns the outcome."""
        started = (await self.ask(SIGN_IN, input={"providerId": "dev"}))["signIn"]
        await self.log_in(started["authorizationUrl"], email, **login)
        return (await self.ask("{ signInOutcome { status message provider { id } } }"))["signInOutcome"]

    async def viewer_email(self) -> str | None:
        viewer = (await self.ask("{ viewer { member { email } } }"))["viewer"]
        return None if viewer is None else viewer["member"]["email"]

    async def community_id(self, name: str = "Demo") -> str:
        viewer = (await self.ask("{ viewer { memberships { community { id name } } } }"))["viewer"]
        return next(str(m["community"]["id"]) for m in viewer["memberships"] if m["community"]["name"] == name)

    async def invite(self, community_id: str, email: str, **arguments: Any) -> Any:
        """Returns the answer of inviteMember."""
        fields = {"communityId": community_id, "email": email, **arguments}
        return (await self.ask(INVITE, input=fields))["inviteMember"]

    async def invitation(self, invitation_id: str) -> Any:
        return (await self.ask(INVITATION, id=invitation_id))["invitation"]

    async def do(self, mutation: str, **arguments: Any) -> Any:
        """Returns the answer of a mutation: its type, and the message of a problem."""
        kind = mutation[0].upper() + mutation[1:] + "Input"
        query = (
            f"mutation($input: {kind}!) {{ {mutation}(input: $input) {{ __typename ...on Problem {{ message }} }} }}"
        )
        return (await self.ask(query, input=arguments))[mutation]


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


ACCEPT = """
mutation($input: AcceptInviteInput!) { acceptInvite(input: $input) { __typename
  ...on AcceptInviteStarted { acceptanceId authorizationUrl expiresAt }
  ...on Problem { message } ...on InvalidInput { field } ...on RateLimited { retryAfterSeconds } } }
"""

ACCEPTANCE = """
query($id: ID) { acceptance(id: $id) { id status communityName maskedEmail signedInEmail message canRetry
  provider { id label } membership { id role community { id name } } } }
"""

SIGN_IN = """
mutation($input: SignInInput!) { signIn(input: $input) { __typename ...on SignInStarted { authorizationUrl expiresAt }
  ...on Problem { message } ...on InvalidInput { field } } }
"""

INVITE = """
mutation($input: InviteMemberInput!) { inviteMember(input: $input) { __typename
  ...on InviteMemberSuccess { invitation { id email role status delivery message locale expiresAt createdAt } }
  ...on AlreadyInvited { message invitation { id status } } ...on AlreadyMember { message membership { id role } }
  ...on InvalidInput { message field } ...on RateLimited { message retryAfterSeconds }
  ...on EmailDomainNotAllowed { message allowedDomains } ...on SeatLimitReached { message limit }
  ...on Problem { message } } }
"""

INVITATION = """
query($id: ID!) { invitation(id: $id) { id email role status blockedReason delivery deliveryReason createdAt expiresAt
  lastSentAt acceptedAt declinedAt revokedAt canResend canResendAt canRevoke inviter { id name email }
  revokedBy { id } acceptedBy { id email } community { id name } timeline { nodes { kind summary actor { id email } } } } }
"""

PREVIEW = """
query($token: String) { invitePreview(token: $token) { communityName inviterName maskedEmail role message linkExpiresAt
  providers { id label } } }
"""
