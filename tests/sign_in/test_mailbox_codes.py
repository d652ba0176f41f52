"""Each kind of provider with each verdict at acceptance, and the mailbox code."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from service.addresses import Address
from service.delivery.worker import Worker
from service.errors import NotFound
from service.invitations.operator import release_account
from service.mail import suppression
from service.mail.senders import open_sender
from service.models import AuditEvent, Flow, Identity, Member, Membership, Session
from service.settings import load_settings
from tests.accounts.test_access_tokens import CREATE
from tests.conftest import Serve
from tests.support.mail_servers import smtp_on_loopback
from tests.support.openid_provider import ABSENT, CLIENT_ID, CLIENT_SECRET, HostileProvider, running_provider
from tests.support.postgres import hold_lock
from tests.support.processes import wait_until
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

TENANT = "11111111-2222-3333-4444-555555555555"
ROGUE = "66666666-7777-8888-9999-aaaaaaaaaaaa"
PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"
ServeProvider = Callable[..., AbstractAsyncContextManager[tuple[Service, HostileProvider]]]


@pytest.fixture
def serve_provider(serve: Serve) -> ServeProvider:
    """Serves the application with one more provider, `idp`, of the given kind."""

    @asynccontextmanager
    async def opened(
        *, rate_limits: dict[str, str] | None = None, **registration: Any
    ) -> AsyncIterator[tuple[Service, HostileProvider]]:
        path, issuer_path = _PATHS[str(registration.get("tenants"))]
        async with running_provider(path, issuer_path=issuer_path) as provider:
            changes = registration | {"issuer": provider.issuer}
            limits = {} if rate_limits is None else {"rate_limits": rate_limits}
            async with serve(providers={"idp": provider.registration(**changes)}, **limits) as service:
                provider.clock = service.clock
                provider.clients = {CLIENT_ID: (CLIENT_SECRET, (f"{service.url}/auth/idp/callback",))}
                yield service, provider

    return opened


# The path of each tenant setting, and the issuer in its discovery document.
_PATHS = {
    "None": ("", ""),
    f"['{TENANT}']": (f"/{TENANT}/v2.0", f"/{TENANT}/v2.0"),
    "['consumers']": (f"/{PERSONAL}/v2.0", f"/{PERSONAL}/v2.0"),
    "['*']": ("/common/v2.0", "/{tenantid}/v2.0"),
}


def _of_tenant(tenant: str, **claims: Any) -> dict[str, Any]:
    """Returns the claims of a token that a tenant signed with the keys of all tenants."""
    return {"tid": tenant, "iss": lambda named: named.replace("{tenantid}", tenant)} | claims


async def _invited(service: Service, browser: Browser, email: str) -> str:
    """Invites an address, and returns the token. The browser is the owner's."""
    if await browser.viewer_email() is None:
        await browser.accept_as(await service.token_for("owner@example.com"), "owner@example.com")
    assert (await browser.invite(await browser.community_id(), email))["__typename"] == "InviteMemberSuccess"
    return await service.token_for(email)


async def _through(browser: Browser, provider: HostileProvider, token: str | None, email: str, **claims: Any) -> Any:
    """Accepts with `idp`, and returns the acceptance."""
    started = await browser.accept(token, provider="idp")
    assert started["__typename"] == "AcceptInviteStarted", started
    callback = await provider.callback_url(started["authorizationUrl"], email=email, **claims)
    assert (await browser.client.get(callback)).status_code == 303
    return await browser.acceptance()


async def _nobody_new() -> None:
    assert await Member.all().count() == 1
    assert await Identity.all().count() == 1
    assert await Membership.all().count() == 1


_CASES = [
    ("google", {}, "ann@gmail.com", {}, "ACCEPTED", "google_gmail"),
    ("google", {}, "ann@corp.example", {"hd": "corp.example"}, "ACCEPTED", "google_hosted_domain"),
    ("google", {}, "ann@corp.example", {}, "CODE_REQUIRED", "google_third_party"),
    ("google", {"third_party_addresses": "refuse"}, "ann@corp.example", {}, "EMAIL_NOT_VERIFIED", "third_party_refused"),
    ("google", {"third_party_addresses": "trust"}, "ann@corp.example", {}, "ACCEPTED", "google_third_party_trusted_by_operator"),
    ("google", {}, "ann@gmail.com", {"email_verified": False}, "EMAIL_NOT_VERIFIED", "email_unverified"),
    ("google", {}, "ann@gmail.com", {"email_verified": "true"}, "EMAIL_NOT_VERIFIED", "email_verified_unreadable"),
    ("microsoft", {"tenants": [TENANT]}, "ann@corp.example", {"tid": TENANT, "xms_edov": True}, "ACCEPTED", "microsoft_edov"),
    ("microsoft", {"tenants": [TENANT]}, "ann@corp.example", {"tid": TENANT}, "EMAIL_NOT_VERIFIED", "edov_absent"),
    ("microsoft", {"tenants": [TENANT]}, "ann@corp.example", {"tid": TENANT, "xms_edov": False}, "EMAIL_NOT_VERIFIED", "edov_false"),
    ("microsoft", {"tenants": [TENANT], "trust_tenant_addresses": True}, "ann@corp.example", {"tid": TENANT}, "ACCEPTED", "microsoft_tenant_trusted_by_operator"),
    ("microsoft", {"tenants": [TENANT]}, "ann@corp.example", {"tid": PERSONAL, "xms_edov": True}, "SIGN_IN_FAILED", "issuer_mismatch"),
    ("microsoft", {"tenants": ["*"]}, "ann@corp.example", _of_tenant(ROGUE), "EMAIL_NOT_VERIFIED", "edov_absent"),
    ("microsoft", {"tenants": ["*"]}, "ann@corp.example", _of_tenant(ROGUE, xms_edov="0"), "EMAIL_NOT_VERIFIED", "edov_false"),
    ("microsoft", {"tenants": ["*"]}, "ann@corp.example", _of_tenant(ROGUE, xms_edov="yes"), "EMAIL_NOT_VERIFIED", "edov_unreadable"),
    ("microsoft", {"tenants": ["*"]}, "ann@corp.example", _of_tenant(ROGUE, email="eve@evil.example", upn="ann@corp.example", preferred_username="ann@corp.example", xms_edov=True), "EMAIL_MISMATCH", "email_mismatch"),
    ("microsoft", {"tenants": ["*"]}, "ann@corp.example", _of_tenant(ROGUE, iss=lambda named: named.replace("{tenantid}", TENANT), xms_edov=True), "SIGN_IN_FAILED", "issuer_mismatch"),
    ("microsoft", {"tenants": ["*"]}, "ann@corp.example", _of_tenant(TENANT, xms_edov="1"), "ACCEPTED", "microsoft_edov"),
    ("microsoft", {"tenants": ["*"]}, "ann@corp.example", _of_tenant(TENANT, verified_primary_email=["Ann@Corp.example"]), "ACCEPTED", "microsoft_verified_email"),
    ("microsoft", {"tenants": ["*"]}, "ann@corp.example", _of_tenant(PERSONAL, xms_edov=True), "CODE_REQUIRED", "microsoft_personal_third_party"),
    ("microsoft", {"tenants": ["consumers"]}, "ann@outlook.com", {"tid": PERSONAL}, "ACCEPTED", "microsoft_mailbox"),
    ("microsoft", {"tenants": ["consumers"]}, "ann@corp.example", {"tid": PERSONAL}, "CODE_REQUIRED", "microsoft_personal_third_party"),
    ("microsoft", {"tenants": ["consumers"]}, "ann@live.xyz", {"tid": PERSONAL}, "CODE_REQUIRED", "microsoft_personal_third_party"),
    ("oidc", {}, "ann@corp.example", {"sub": "   "}, "SIGN_IN_FAILED", "subject_invalid"),
    ("microsoft", {"tenants": ["consumers"], "third_party_addresses": "refuse"}, "ann@corp.example", {"tid": PERSONAL}, "EMAIL_NOT_VERIFIED", "third_party_refused"),
    ("microsoft", {"tenants": ["consumers"], "third_party_addresses": "trust"}, "ann@corp.example", {"tid": PERSONAL}, "ACCEPTED", "microsoft_personal_third_party_trusted_by_operator"),
    ("oidc", {"email_domains": ["corp.example"]}, "ann@corp.example", {}, "ACCEPTED", "oidc_verified"),
    ("oidc", {"email_domains": ["other.example"]}, "ann@corp.example", {}, "EMAIL_NOT_VERIFIED", "domain_not_listed"),
    ("oidc", {}, "ann@corp.example", {"email_verified": ABSENT}, "EMAIL_NOT_VERIFIED", "email_verified_absent"),
    ("oidc", {}, "ann@corp.example", {"email_verified": 1}, "EMAIL_NOT_VERIFIED", "email_verified_unreadable"),
    ("oidc", {"email_verified_values": [True, "1"]}, "ann@corp.example", {"email_verified": "1"}, "ACCEPTED", "oidc_verified"),
    ("oidc", {"email_domains": ["corp.example"], "trust_addresses": True}, "ann@corp.example", {"email_verified": ABSENT}, "ACCEPTED", "oidc_addresses_trusted_by_operator"),
    ("oidc", {}, "ann@corp.example", {"email": ABSENT}, "EMAIL_NOT_VERIFIED", "email_absent"),
]  # fmt: skip


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize(("kind", "registration", "email", "claims", "status", "rule"), _CASES)
async def test_verdict_decides_an_acceptance(
    serve_provider: ServeProvider,
    kind: str,
    registration: dict[str, Any],
    email: str,
    claims: dict[str, Any],
    status: str,
    rule: str,
) -> None:
    """H022-H031, H044, H187, H188: the verdict of each rule decides the acceptance, and is in the audit log. A refusal
    consumes nothing.
    """
    async with serve_provider(kind=kind, **registration) as (service, provider):
        async with service.browser() as owner, service.browser() as guest:
            token = await _invited(service, owner, email)
            provider.claim_changes = claims
            if claims.get("email") is ABSENT:
                provider.userinfo_changes = {"email": ABSENT}
            found = await _through(guest, provider, token, email)
            assert (found["status"], found["canRetry"]) == (status, status != "ACCEPTED"), found
            if status == "ACCEPTED":
                assert await guest.viewer_email() == email
                accepted = await AuditEvent.filter(kind="invitation.accepted").order_by("seq")
                assert accepted[-1].details["evidence"] == rule
                return
            assert await guest.viewer_email() is None
            await _nobody_new()
            reported = await AuditEvent.get(kind__in=["invitation.accept_refused", "invitation.code_required"])
            assert reported.details["evidence" if status == "CODE_REQUIRED" else "reason"] == rule
            provider.behave()
            assert (await guest.accept(token, provider="dev"))["__typename"] == "AcceptInviteStarted"


async def test_address_from_userinfo_is_accepted(serve_provider: ServeProvider) -> None:
    """H034: when the ID token has no address, the one of userinfo counts, for the ID token's subject only."""
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as guest:
        token = await _invited(service, owner, "ann@corp.example")
        provider.claim_changes, provider.userinfo_changes = {"email": ABSENT}, {"sub": "somebody-else"}
        found = await _through(guest, provider, token, "ann@corp.example")
        assert (found["status"], found["signedInEmail"]) == ("SIGN_IN_FAILED", None)
        await _nobody_new()
        provider.userinfo_changes = {}
        service.clock.advance(seconds=1)
        assert (await _through(guest, provider, None, "ann@corp.example"))["status"] == "ACCEPTED"


async def test_address_in_the_name_is_not_stored(serve_provider: ServeProvider) -> None:
    """H189: members who may see names and no addresses see no address in a name. Other names are stored."""
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as guest:
        names = {"ann@corp.example": "ann@corp.example", "bea@corp.example": "Bea <Bea@Corp.example>"}
        for number, (email, name) in enumerate([*names.items(), ("cleo@corp.example", "Cleo @ Home")]):
            provider.claim_changes = {"name": name, "sub": f"subject-{number}"}
            await _through(guest, provider, await _invited(service, owner, email), email)
        stored = {member.email: member.name for member in await Member.exclude(email="owner@example.com")}
        displayed = (await guest.ask("{ viewer { member { name } } }"))["viewer"]["member"]["name"]
    assert (displayed, stored.pop("cleo@corp.example")) == ("Cleo @ Home", "Cleo @ Home")
    assert stored == {"ann@corp.example": None, "bea@corp.example": None}


# ------------------------------------------------------------------------------------------- the code to the invited mailbox

CONFIRM = """
mutation($input: ConfirmAcceptanceInput!) { confirmAcceptance(input: $input) { __typename
  ...on ConfirmAcceptanceSuccess { acceptance { id status membership { role } } }
  ...on InvalidCode { message triesLeft } ...on Problem { message } } }
"""
EMAIL = "ann@corp.example"


async def _confirm(browser: Browser, acceptance_id: str, code: str) -> Any:
    return (await browser.ask(CONFIRM, input={"acceptanceId": acceptance_id, "code": code}))["confirmAcceptance"]


async def _code(service: Service) -> str:
    mail = await service.mail_to(EMAIL)
    (code,) = re.findall(r"\b\d{3}\s?\d{3}\b", mail.text)
    return re.sub(r"\D", "", code)


def _wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


@asynccontextmanager
async def _at_the_code(
    serve_provider: ServeProvider,
) -> AsyncIterator[tuple[Service, HostileProvider, Browser, str, str]]:
    """Yields a guest whose Google account has an address of another mail provider, and who must enter the code."""
    async with (
        serve_provider(kind="google") as (service, provider),
        service.browser() as owner,
        service.browser() as guest,
    ):
        token = await _invited(service, owner, EMAIL)
        found = await _through(guest, provider, token, EMAIL)
        assert found["status"] == "CODE_REQUIRED"
        yield service, provider, guest, found["id"], token


async def test_fresh_links_do_not_delay_a_code(serve_provider: ServeProvider) -> None:
    """H179: fresh links requested by strangers exhaust the mailbox's hourly limit, and the code is still sent at once."""
    limits = {"mails_per_recipient": "1/1h", "mails_per_recipient_overall": "1/1h", "attempts_per_client": "off"}
    async with serve_provider(kind="google", rate_limits=limits) as (service, provider):
        async with service.browser() as owner, service.browser() as guest, service.browser() as thief:
            token = await _invited(service, owner, EMAIL)
            service.clock.advance(minutes=11)
            await thief.do("requestFreshLink", token=token)
            fresh = await service.token_for(EMAIL)
            assert len([mail for mail in service.mailbox.entries if mail.to == EMAIL]) == 2
            found = await _through(guest, provider, fresh, EMAIL)
            assert found["status"] == "CODE_REQUIRED"
            done = await _confirm(guest, found["id"], await _code(service))
            assert done["acceptance"]["status"] == "ACCEPTED"


async def test_code_completes_the_proof(serve_provider: ServeProvider) -> None:
    """H025: the code from the invited mailbox, typed with a space, completes the acceptance in the same browser.
    Without it, the acceptance stays incomplete.
    """
    async with _at_the_code(serve_provider) as (service, _, guest, acceptance_id, token):
        await _nobody_new()
        code = await _code(service)
        async with service.browser() as thief:
            assert (await _confirm(thief, acceptance_id, code))["__typename"] == "InviteLinkInvalid"
        done = await _confirm(guest, acceptance_id, f"{code[:3]} {code[3:]}")
        assert done["acceptance"]["status"] == "ACCEPTED"
        assert done["acceptance"]["membership"]["role"] == "MEMBER"
        assert await guest.viewer_email() == EMAIL
        assert (await _confirm(guest, acceptance_id, code))["__typename"] == "InviteLinkInvalid"
        assert (await guest.accept(token, provider="dev"))["__typename"] == "InviteLinkInvalid"
        events = [
            event.details["evidence"] for event in await AuditEvent.filter(kind="invitation.accepted").order_by("seq")
        ]
        assert events[-1] == "google_third_party_and_code"


# The zero of a script, and the characters around and between the digits.
_WRITTEN = {
    "Arabic-Indic, right to left": ("\u0660", "\u200f", "\u200f\u00a0"),
    "Persian, with a zero-width non-joiner": ("\u06f0", "", "\u200c"),
    "Devanagari": ("\u0966", " ", ""),
    "Bengali, with a soft hyphen": ("\u09e6", "", "\u00ad"),
    "fullwidth, with an ideographic space": ("\uff10", "\u3000", "\u3000"),
    "mathematical": ("\U0001d7ce", "", ""),
    "isolated, with a narrow space": ("0", "\u2068", "\u202f"),
    "a byte order mark and a zero-width space": ("0", "\ufeff", "\u200b"),
    "a minus sign": ("0", "", "\u2212"),
    "a non-breaking hyphen": ("0", "", "\u2011"),
    "tabs and lines": ("0", "\t", "\r\n"),
}


def _written(code: str, zero: str, around: str, between: str) -> str:
    digits = [chr(ord(zero) + int(digit)) for digit in code]
    return around + "".join(digits[:3]) + between + between.join(digits[3:]) + around


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("way", _WRITTEN)
async def test_code_in_the_digits_of_any_script_is_accepted(serve_provider: ServeProvider, way: str) -> None:
    """Decimal digits of every script count as digits. Blanks, hyphens and invisible characters are ignored. Another
    number in the same digits is a wrong code.
    """
    async with _at_the_code(serve_provider) as (service, _, guest, acceptance_id, __):
        code = await _code(service)
        wrong = await _confirm(guest, acceptance_id, _written(_wrong(code), *_WRITTEN[way]))
        assert (wrong["__typename"], wrong["triesLeft"]) == ("InvalidCode", 4)
        await _nobody_new()
        done = await _confirm(guest, acceptance_id, _written(code, *_WRITTEN[way]))
        assert done["acceptance"]["status"] == "ACCEPTED"


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_other_characters_are_no_digits(serve_provider: ServeProvider) -> None:
    """A letter, a superscript, a circled digit or a seventh digit makes a wrong code, and the right one still works."""
    async with _at_the_code(serve_provider) as (service, _, guest, acceptance_id, __):
        code = await _code(service)
        for left, typed in enumerate((f"{code}\u0660", f"{code[:5]}\u00b2", f"{code[:5]}\u2460", f"x{code}")):
            answer = await _confirm(guest, acceptance_id, typed)
            assert (answer["__typename"], answer["triesLeft"]) == ("InvalidCode", 4 - left), typed
        await _nobody_new()
        done = await _confirm(guest, acceptance_id, code)
        assert done["acceptance"]["status"] == "ACCEPTED"


async def test_code_sent_twice_at_once_accepts_once(serve_provider: ServeProvider) -> None:
    """H006: of two concurrent requests with the right code, one accepts. The other reports the acceptance or a finished
    flow. One membership and one session are created.
    """
    async with _at_the_code(serve_provider) as (service, _, guest, acceptance_id, __):
        code, sessions = await _code(service), await Session.all().count()
        both = await asyncio.gather(*(_confirm(guest, acceptance_id, code) for _ in range(2)))
        found = sorted((answer["__typename"], answer.get("acceptance", {}).get("status")) for answer in both)
        assert found[0] == ("ConfirmAcceptanceSuccess", "ACCEPTED")
        assert found[1] in {found[0], ("InviteLinkInvalid", None)}
        await _came_in_once(guest, sessions)


@pytest.mark.parametrize("engine", ["postgres"])
async def test_two_concurrent_right_codes_are_both_accepted(serve_provider: ServeProvider) -> None:
    """H006: two requests with the right code wait for the community's row. Both report ACCEPTED, and one membership is
    created.
    """
    async with _at_the_code(serve_provider) as (service, _, guest, acceptance_id, __):
        code, sessions = await _code(service), await Session.all().count()
        async with hold_lock(
            service.settings.database_url.get_secret_value(), "SELECT id FROM communities FOR UPDATE"
        ) as locked:
            both = [asyncio.create_task(_confirm(guest, acceptance_id, code)) for _ in range(2)]
            await wait_until(locked.awaited(by=2), "two requests that wait for the community")
        for answer in await asyncio.gather(*both):
            assert answer["acceptance"]["status"] == "ACCEPTED"
        await _came_in_once(guest, sessions)


@pytest.mark.parametrize("engine", ["postgres"])
async def test_code_after_the_flow_ended_is_no_wrong_code(serve_provider: ServeProvider) -> None:
    """A right code that waits while the flow ends is InviteLinkInvalid, not InvalidCode. The outcome has the details."""
    async with _at_the_code(serve_provider) as (service, _, guest, acceptance_id, __):
        code = await _code(service)
        over = "UPDATE flows SET status = 'SIGN_IN_FAILED', message = 'Over.' WHERE status = 'CODE_REQUIRED'"
        async with hold_lock(service.settings.database_url.get_secret_value(), over) as locked:
            late = asyncio.create_task(_confirm(guest, acceptance_id, code))
            await wait_until(locked.awaited(), "a request that waits for the flow")
        assert (await late)["__typename"] == "InviteLinkInvalid"
        assert (await guest.acceptance())["status"] == "SIGN_IN_FAILED"
        await _nobody_new()


async def _came_in_once(guest: Browser, sessions_before: int) -> None:
    assert (await guest.acceptance())["status"] == "ACCEPTED"
    assert await guest.viewer_email() == EMAIL
    assert (await Membership.all().count(), await Session.all().count()) == (2, sessions_before + 1)
    assert await AuditEvent.filter(kind="invitation.accept_refused").count() == 0


async def test_concurrent_guesses_are_counted_one_by_one(serve_provider: ServeProvider) -> None:
    """Twenty concurrent wrong codes count as five attempts. The code is invalid afterwards."""
    async with _at_the_code(serve_provider) as (service, _, guest, acceptance_id, __):
        code = await _code(service)
        answers = await asyncio.gather(*(_confirm(guest, acceptance_id, _wrong(code)) for _ in range(20)))
        left = sorted(answer["triesLeft"] for answer in answers if answer["__typename"] == "InvalidCode")
        assert left[-5:] == [0, 1, 2, 3, 4]
        assert set(left[:-5]) <= {0}
        assert (await _confirm(guest, acceptance_id, code))["__typename"] == "InviteLinkInvalid"
        assert (await guest.acceptance())["status"] == "SIGN_IN_FAILED"
        assert (await Flow.get(id=acceptance_id)).evidence == {"rule": "google_third_party", "verdict": "third_party"}
        assert await AuditEvent.filter(kind="invitation.accept_refused").count() == 1
        await _nobody_new()


async def test_code_before_its_mail_costs_no_attempt(serve_provider: ServeProvider) -> None:
    """Before the mail is sent, any code is InvalidCode with all attempts and a sentence about the mail. Afterwards the
    code is accepted.
    """
    async with _at_the_code(serve_provider) as (service, _, guest, acceptance_id, __):
        early = await _confirm(guest, acceptance_id, "000000")
        assert (early["__typename"], early["triesLeft"], "not sent yet" in early["message"]) == ("InvalidCode", 5, True)
        code = await _code(service)
        assert (await _confirm(guest, acceptance_id, code))["acceptance"]["status"] == "ACCEPTED"


@pytest.mark.parametrize("unwanted", [True, False])
async def test_undeliverable_code_is_reported(serve_provider: ServeProvider, *, unwanted: bool) -> None:
    """When the mailbox rejects mail or is suppressed, the person and the admins read that the code was not sent. The
    acceptance fails, and the link still accepts another sign-in.
    """
    async with _at_the_code(serve_provider) as (service, _, guest, acceptance_id, __), smtp_on_loopback() as smtp:
        if unwanted:
            await suppression.add(Address(EMAIL), suppression.Reason.COMPLAINED, now=service.clock())
        smtp.orders["RCPT"] = "550 5.1.1 no such user"
        settings = load_settings(environ={}, mail_url=f"smtp://127.0.0.1:{smtp.port}", mail_from="a@example.com")
        await Worker(service.settings, open_sender(settings, clock=service.clock), service.clock).deliver_due()
        found = await guest.acceptance()
        assert (found["status"], found["canRetry"]) == ("SIGN_IN_FAILED", True)
        assert "could not be sent" in found["message"]
        assert (await _confirm(guest, acceptance_id, "000000"))["__typename"] == "InviteLinkInvalid"
        refused = await AuditEvent.get(kind="invitation.accept_refused")
        assert refused.details == {"status": "SIGN_IN_FAILED", "reason": "code_not_sent", "provider": "idp"}
        await _nobody_new()
        assert (await guest.accept_as(None, EMAIL))["status"] == "ACCEPTED"


async def test_five_wrong_codes_end_the_flow(serve_provider: ServeProvider) -> None:
    """The number of attempts decreases. The sixth code is refused even if it is right. A new sign-in sends a new code."""
    async with _at_the_code(serve_provider) as (service, provider, guest, acceptance_id, _):
        code = await _code(service)
        left = [(await _confirm(guest, acceptance_id, _wrong(code)))["triesLeft"] for _ in range(5)]
        assert left == [4, 3, 2, 1, 0]
        assert (await _confirm(guest, acceptance_id, code))["__typename"] == "InviteLinkInvalid"
        await _nobody_new()
        service.clock.advance(seconds=1)
        again = await _through(guest, provider, None, EMAIL)
        assert again["status"] == "CODE_REQUIRED"
        second = await _code(service)
        assert (await _confirm(guest, again["id"], second))["acceptance"]["status"] == "ACCEPTED"


async def test_code_expires_after_ten_minutes(serve_provider: ServeProvider) -> None:
    """After ten minutes, the right code is InvalidCode without attempts."""
    async with _at_the_code(serve_provider) as (service, _, guest, acceptance_id, __):
        code = await _code(service)
        service.clock.advance(minutes=10)
        late = await _confirm(guest, acceptance_id, code)
        assert (late["__typename"], late["triesLeft"]) == ("InvalidCode", 0)
        await _nobody_new()


async def test_code_is_for_its_own_flow_only(serve_provider: ServeProvider) -> None:
    """H042: the code and the proof of a flow finish no other flow of the same browser."""
    async with _at_the_code(serve_provider) as (service, provider, guest, first_id, _):
        first = await _code(service)
        service.clock.advance(seconds=1)
        second = await _through(guest, provider, None, EMAIL, sub="somebody-else")
        other = await _code(service)
        assert second["id"] != first_id
        salts = [str(flow.code_digest)[:16] for flow in await Flow.filter(id__in=[first_id, second["id"]])]
        assert len(set(salts)) == 2
        if first != other:
            assert (await _confirm(guest, second["id"], first))["__typename"] == "InvalidCode"
        done = await _confirm(guest, first_id, first)
        assert done["acceptance"]["status"] == "ACCEPTED"
        # The browser is signed in as the new member, so the API reports the membership for the unused flow.
        assert (await _confirm(guest, second["id"], other))["acceptance"]["status"] == "ALREADY_MEMBER"
        assert (await Flow.get(id=second["id"])).status == "LINK_INVALID"
        assert await Identity.filter(subject="somebody-else").count() == 0


async def test_code_needs_a_pending_invitation(serve_provider: ServeProvider) -> None:
    """A revocation between the login and the code refuses the acceptance. Only a salted digest of the code is stored."""
    async with _at_the_code(serve_provider) as (service, _, guest, acceptance_id, __):
        code = await _code(service)
        flow = await Flow.get(id=acceptance_id)
        assert flow.code_digest is not None
        assert code not in flow.code_digest
        async with service.browser() as owner:
            await owner.sign_in("owner@example.com")
            page = "query($id: ID!) { community(id: $id) { invitations { nodes { id email } } } }"
            nodes = (await owner.ask(page, id=await owner.community_id()))["community"]["invitations"]["nodes"]
            invitation_id = next(node["id"] for node in nodes if node["email"] == EMAIL)
            await owner.do("revokeInvite", invitationId=invitation_id)
        assert (await _confirm(guest, acceptance_id, code))["acceptance"]["status"] == "LINK_INVALID"
        await _nobody_new()


# --------------------------------------------------------------------------------------------------- unusual identities

LONGEST = f"{'a' * 63}@{'b' * 62}.{'b' * 62}.{'b' * 56}.example"


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"name": "N" * 100}, "ACCEPTED"),
        ({"name": "N" * 5000}, "ACCEPTED"),
        ({"email": f"x{LONGEST}"}, "EMAIL_NOT_VERIFIED"),
        ({"email": f"y{LONGEST[1:]}"}, "EMAIL_MISMATCH"),
        ({"email": f"{'x' * 300}@example.com"}, "EMAIL_NOT_VERIFIED"),
        ({"email": " " * 300 + LONGEST}, "EMAIL_MISMATCH"),
    ],
)
async def test_long_names_and_addresses_have_an_outcome(
    serve_provider: ServeProvider, claims: dict[str, Any], status: str
) -> None:
    """H068: a return with a very long name or address has an outcome, and only the invited address is accepted."""
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as guest:
        token = await _invited(service, owner, LONGEST)
        provider.claim_changes = claims
        found = await _through(guest, provider, token, LONGEST)
        assert found["status"] == status
        assert await guest.viewer_email() == (LONGEST if status == "ACCEPTED" else None)
        assert found["canRetry"] is (status != "ACCEPTED")


# ------------------------------------------------------------------------------------------------- accounts and identities


async def test_email_never_opens_an_account(serve_provider: ServeProvider) -> None:
    """H037: another sign-in with a member's verified address is IDENTITY_CONFLICT. It does not merge accounts or sign
    in.
    """
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as guest:
        await _invited(service, owner, "filler@example.com")
        await owner.do("createCommunity", name="Second")
        token = await service.token_for("filler@example.com")
        await guest.accept_as(token, "filler@example.com")
        await owner.invite(await owner.community_id("Second"), "filler@example.com")
        async with service.browser() as elsewhere:
            token = await service.token_for("filler@example.com")
            found = await _through(elsewhere, provider, token, "filler@example.com")
            assert (found["status"], found["canRetry"]) == ("IDENTITY_CONFLICT", True)
            assert await elsewhere.viewer_email() is None
            flow_started = (
                await elsewhere.ask(
                    'mutation { signIn(input: {providerId: "idp"}) { ...on SignInStarted { authorizationUrl } } }'
                )
            )["signIn"]
            await elsewhere.client.get(
                await provider.callback_url(flow_started["authorizationUrl"], email="filler@example.com")
            )
            outcome = (await elsewhere.ask("{ signInOutcome { status } }"))["signInOutcome"]
            assert outcome["status"] == "NOT_INVITED"
        assert await Identity.all().count() == 2
        assert (await _link(guest, provider, "filler@example.com"))["status"] == "IDENTITY_LINKED"
        async with service.browser() as elsewhere:
            accepted = await elsewhere.accept_as(token, "filler@example.com")
            assert accepted["status"] == "ACCEPTED"
        assert await Member.all().count() == 2


async def _link(browser: Browser, provider: HostileProvider, email: str, **claims: Any) -> Any:
    flow_started = (
        await browser.ask(
            'mutation { linkIdentity(input: {providerId: "idp"}) { __typename ...on SignInStarted { authorizationUrl } } }'
        )
    )["linkIdentity"]
    assert flow_started["__typename"] == "SignInStarted"
    await browser.client.get(await provider.callback_url(flow_started["authorizationUrl"], email=email, **claims))
    return (await browser.ask("{ signInOutcome { status message } }"))["signInOutcome"]


async def test_claimed_address_blocks_no_one(serve_provider: ServeProvider) -> None:
    """H037: an unproven address of a linked sign-in is displayed, and does not block the real owner of the address. A
    proved address belongs to one account, in upper and lower case.
    """
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as guest:
        token = await _invited(service, owner, "ann@example.com")
        assert (await _link(owner, provider, "Ann@Example.com", email_verified=False))["status"] == "IDENTITY_LINKED"
        displayed = (await owner.ask("{ viewer { identities { email } } }"))["viewer"]["identities"]
        assert {"email": "ann@example.com"} in displayed
        assert (await guest.accept_as(token, "ann@example.com"))["status"] == "ACCEPTED"
        token = await _invited(service, owner, "bob@example.com")
        assert (await _link(owner, provider, "Bob@Example.com", sub="bob"))["status"] == "IDENTITY_LINKED"
        async with service.browser() as bob:
            assert (await bob.accept_as(token, "bob@example.com"))["status"] == "IDENTITY_CONFLICT"
        assert await Member.all().count() == 2


async def test_second_sign_in_is_linked_from_a_session(serve_provider: ServeProvider) -> None:
    """A linked sign-in opens the same account and is listed. Linking another account's is IDENTITY_IN_USE and changes
    nothing.
    """
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as guest:
        token = await _invited(service, owner, "guest@example.com")
        await guest.accept_as(token, "guest@example.com")
        service.clock.advance(seconds=1)
        assert (await _link(owner, provider, "private@elsewhere.example", sub="1"))["status"] == "IDENTITY_LINKED"
        assert (await _link(guest, provider, "private@elsewhere.example", sub="1"))["status"] == "IDENTITY_IN_USE"
        identities = (await owner.ask("{ viewer { identities { provider { id } issuer email } } }"))["viewer"][
            "identities"
        ]
        assert [identity["provider"]["id"] for identity in identities] == ["dev", "idp"]
        async with service.browser() as later:
            flow_started = (
                await later.ask(
                    'mutation { signIn(input: {providerId: "idp"}) { ...on SignInStarted { authorizationUrl } } }'
                )
            )["signIn"]
            await later.client.get(
                await provider.callback_url(flow_started["authorizationUrl"], email="x@elsewhere.example", sub="1")
            )
            assert await later.viewer_email() == "owner@example.com"
        assert (await guest.ask("{ viewer { identities { id } } }"))["viewer"]["identities"].__len__() == 1


async def test_linking_needs_the_session_that_started_it(serve_provider: ServeProvider) -> None:
    """Without a session, linkIdentity is NotSignedIn. A session that ended before the return links nothing."""
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as stranger:
        assert (await stranger.do("linkIdentity", providerId="idp"))["__typename"] == "NotSignedIn"
        await _invited(service, owner, "guest@example.com")
        flow_started = (
            await owner.ask(
                'mutation { linkIdentity(input: {providerId: "idp"}) { ...on SignInStarted { authorizationUrl } } }'
            )
        )["linkIdentity"]
        callback = await provider.callback_url(flow_started["authorizationUrl"], email="x@y.example")
        await owner.do("signOut", everywhere=True)
        await owner.client.get(callback)
        assert (await owner.ask("{ signInOutcome { status } }"))["signInOutcome"]["status"] == "SIGN_IN_FAILED"
        assert await Identity.all().count() == 1


async def test_changed_email_at_the_provider_changes_no_rights(serve_provider: ServeProvider) -> None:
    """H040: a member who takes the owner's address at the provider keeps their own account."""
    async with serve_provider() as (service, _), service.browser() as owner, service.browser() as guest:
        token = await _invited(service, owner, "guest@example.com")
        await guest.accept_as(token, "guest@example.com", sub="guest-subject")
        await guest.sign_in("owner@example.com", sub="guest-subject")
        assert await guest.viewer_email() == "guest@example.com"
        memberships = (await guest.ask("{ viewer { memberships { role } } }"))["viewer"]["memberships"]
        assert memberships == [{"role": "MEMBER"}]


async def test_relay_address_is_another_address(serve_provider: ServeProvider) -> None:
    """H045: a login with a relay's address is EMAIL_MISMATCH with an explanation, and consumes nothing."""
    relay = "x7k2q@privaterelay.appleid.com"
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as guest:
        token = await _invited(service, owner, "ann@example.com")
        found = await _through(guest, provider, token, relay)
        assert (found["status"], found["canRetry"], relay in found["message"]) == ("EMAIL_MISMATCH", True, True)
        await _nobody_new()


async def test_same_subject_at_two_issuers_is_two_accounts(serve_provider: ServeProvider) -> None:
    """Subject "1" of one issuer does not open the account of subject "1" of another."""
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as guest:
        token = await _invited(service, owner, "guest@example.com")
        await guest.accept_as(token, "guest@example.com", sub="1")
        async with service.browser() as other:
            flow_started = (
                await other.ask(
                    'mutation { signIn(input: {providerId: "idp"}) { ...on SignInStarted { authorizationUrl } } }'
                )
            )["signIn"]
            await other.client.get(
                await provider.callback_url(flow_started["authorizationUrl"], email="guest@example.com", sub="1")
            )
            assert (await other.ask("{ signInOutcome { status } }"))["signInOutcome"]["status"] == "NOT_INVITED"
            assert await other.viewer_email() is None


@pytest.mark.parametrize("named", [True, False])
async def test_response_at_another_providers_callback_grants_nothing(
    serve_provider: ServeProvider, *, named: bool
) -> None:
    """H056: a response of a trusted provider at the redirect URI of a hostile one is refused. Its code is sent to no
    provider, and nothing is consumed, with and without the issuer in the response.
    """
    async with serve_provider() as (service, provider), service.browser() as owner:
        provider.metadata_changes = {"authorization_response_iss_parameter_supported": ABSENT}
        token = await service.token_for("owner@example.com")
        started = await owner.accept(token, provider="dev")
        callback = (await owner.callback_url(started["authorizationUrl"], "owner@example.com")).replace(
            "/auth/dev/", "/auth/idp/"
        )
        await owner.client.get(callback if named else re.sub(r"&iss=[^&]*", "", callback))
        assert (await owner.acceptance())["status"] == "SIGN_IN_FAILED"
        assert (await AuditEvent.get(kind="invitation.accept_refused")).details["reason"] == "provider_mixed_up"
        assert provider.requests["/token"] == 0
        assert await Member.all().count() == 0
        assert (await owner.accept_as(token, "owner@example.com"))["status"] == "ACCEPTED"


async def test_released_account_is_opened_by_its_owner_only(serve_provider: ServeProvider) -> None:
    """`guestlist identity release`: the old sign-in is removed, and another address is refused. A new sign-in with the
    link and the address opens the same account with its role.
    """
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as admin:
        token = await _invited(service, owner, "admin@example.com")
        before = await admin.accept_as(token, "admin@example.com")
        service.clock.advance(seconds=1)
        await release_account(Address("admin@example.com"), now=service.clock(), settings=service.settings)
        assert await admin.viewer_email() is None
        assert (await admin.sign_in("admin@example.com"))["status"] == "NOT_INVITED"
        link = await service.token_for("admin@example.com")
        async with service.browser() as thief:
            assert (await _through(thief, provider, link, "thief@example.com"))["status"] == "EMAIL_MISMATCH"
            known = await thief.accept_as(link, "owner@example.com")
            assert known["status"] == "EMAIL_MISMATCH"
        service.clock.advance(seconds=1)
        again = await _through(admin, provider, link, "admin@example.com", sub="replaced")
        assert again["status"] == "ALREADY_MEMBER"
        assert again["membership"] == before["membership"]
        assert await admin.viewer_email() == "admin@example.com"
        assert await AuditEvent.filter(kind="member.identity_released").count() == 1
        assert await Member.all().count() == 2


async def test_released_account_is_not_opened_by_another_member(serve_provider: ServeProvider) -> None:
    """H040: a member who takes the released address at the provider is IDENTITY_CONFLICT at its link, and joins
    nothing. The account remains available to its owner.
    """
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as bob:
        await bob.accept_as(await _invited(service, owner, "bob@example.com"), "bob@example.com", sub="bob")
        async with service.browser() as admin:
            token = await _invited(service, owner, "admin@example.com")
            before = await admin.accept_as(token, "admin@example.com")
        service.clock.advance(seconds=1)
        await release_account(Address("admin@example.com"), now=service.clock(), settings=service.settings)
        link = await service.token_for("admin@example.com")
        found = await bob.accept_as(link, "admin@example.com", sub="bob")
        assert (found["status"], found["canRetry"]) == ("IDENTITY_CONFLICT", True)
        assert await bob.viewer_email() == "bob@example.com"
        service.clock.advance(seconds=1)
        async with service.browser() as admin:
            again = await _through(admin, provider, link, "admin@example.com", sub="replaced")
            assert (again["status"], again["membership"]) == ("ALREADY_MEMBER", before["membership"])
        assert await Identity.filter(email="admin@example.com").count() == 1


async def test_released_account_is_not_created_twice(serve_provider: ServeProvider) -> None:
    """An invitation to another community creates no second account for a released one. The person reads which link
    comes first, and afterwards the other link is accepted, too.
    """
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as guest:
        token = await _invited(service, owner, "guest@example.com")
        await guest.accept_as(token, "guest@example.com")
        await owner.do("createCommunity", name="Second")
        await owner.invite(await owner.community_id("Second"), "guest@example.com")
        second = await service.token_for("guest@example.com")
        service.clock.advance(seconds=1)
        assert await release_account(Address("guest@example.com"), now=service.clock(), settings=service.settings)
        first = await service.token_for("guest@example.com")
        early = await _through(guest, provider, second, "guest@example.com")
        assert (early["status"], "waits for a new sign-in" in early["message"]) == ("IDENTITY_CONFLICT", True)
        service.clock.advance(seconds=1)
        assert (await _through(guest, provider, first, "guest@example.com"))["status"] == "ALREADY_MEMBER"
        service.clock.advance(seconds=1)
        assert (await _through(guest, provider, second, "guest@example.com"))["status"] == "ACCEPTED"
        assert await Member.all().count() == 2


async def test_releasing_an_account_without_communities_frees_its_address(serve_provider: ServeProvider) -> None:
    """Releasing a person without communities sends nothing. A later invitation creates a new account."""
    async with serve_provider() as (service, provider), service.browser() as owner, service.browser() as guest:
        token = await _invited(service, owner, "guest@example.com")
        left = (await guest.accept_as(token, "guest@example.com"))["membership"]["id"]
        assert (await guest.do("removeMember", membershipId=left))["__typename"] == "RemoveMemberSuccess"
        sent = len(service.mailbox.entries)
        assert not await release_account(Address("guest@example.com"), now=service.clock(), settings=service.settings)
        await service.deliver()
        assert len(service.mailbox.entries) == sent
        assert await guest.viewer_email() is None
        again = await _through(
            guest, provider, await _invited(service, owner, "guest@example.com"), "guest@example.com"
        )
        assert again["status"] == "ACCEPTED"


async def test_releasing_ends_everything_of_the_old_sign_in(serve_provider: ServeProvider) -> None:
    """Sessions, access tokens, and a sign-in that is being linked from such a session end with the release."""
    async with serve_provider() as (service, provider), service.browser() as owner:
        await _invited(service, owner, "filler@example.com")
        expected = {"name": "Nightly import", "scopes": ["READ"], "communityIds": [await owner.community_id()]}
        token = (await owner.ask(CREATE, input=expected))["createAccessToken"]["token"]
        flow_started = await owner.ask(
            'mutation { linkIdentity(input: {providerId: "idp"}) { ...on SignInStarted { authorizationUrl } } }'
        )
        callback = await provider.callback_url(flow_started["linkIdentity"]["authorizationUrl"], email="x@y.example")
        await release_account(Address("owner@example.com"), now=service.clock(), settings=service.settings)
        await owner.client.get(callback)
        assert (await owner.ask("{ signInOutcome { status } }"))["signInOutcome"]["status"] == "SIGN_IN_FAILED"
        assert await owner.viewer_email() is None
        async with service.browser(authorization=f"Bearer {token}") as script:
            assert (await script.post("{ viewer { member { id } } }")).status_code == 401
        assert await Identity.all().count() == 0


async def test_linking_with_another_session_is_refused(serve_provider: ServeProvider) -> None:
    """A login that returns to the browser with another person's session is linked to neither account."""
    async with serve_provider() as (service, provider), service.browser() as shared:
        token = await _invited(service, shared, "guest@example.com")
        flow_started = await shared.ask(
            'mutation { linkIdentity(input: {providerId: "idp"}) { ...on SignInStarted { authorizationUrl } } }'
        )
        callback = await provider.callback_url(flow_started["linkIdentity"]["authorizationUrl"], email="x@y.example")
        await shared.accept_as(token, "guest@example.com")
        await shared.client.get(callback)
        outcome = (await shared.ask("{ signInOutcome { status message } }"))["signInOutcome"]
        assert (outcome["status"], "signed out in the meantime" in outcome["message"]) == ("SIGN_IN_FAILED", True)
        assert await shared.viewer_email() == "guest@example.com"
        assert await Identity.filter(provider_id="idp").count() == 0


async def test_linking_needs_the_sessions_own_cookie(serve_provider: ServeProvider) -> None:
    """A login that returns without the cookie of its session is not linked, although the session is active."""
    async with serve_provider() as (service, provider), service.browser() as owner:
        await _invited(service, owner, "filler@example.com")
        flow_started = await owner.ask(
            'mutation { linkIdentity(input: {providerId: "idp"}) { ...on SignInStarted { authorizationUrl } } }'
        )
        callback = await provider.callback_url(flow_started["linkIdentity"]["authorizationUrl"], email="x@y.example")
        session = owner.client.cookies.pop(service.settings.session_cookie)
        await owner.client.get(callback)
        assert (await owner.ask("{ signInOutcome { status } }"))["signInOutcome"]["status"] == "SIGN_IN_FAILED"
        assert await Identity.all().count() == 1
        async with service.browser(cookie=f"{service.settings.session_cookie}={session}") as elsewhere:
            assert await elsewhere.viewer_email() == "owner@example.com"


async def test_releasing_an_unknown_address_is_refused(service: Service) -> None:
    """Releasing an address without an account in a community is refused with a sentence and changes nothing."""
    with pytest.raises(NotFound, match="invite the person"):
        await release_account(Address("nobody@example.com"), now=service.clock(), settings=service.settings)
    assert await AuditEvent.filter(kind="member.identity_released").count() == 0
