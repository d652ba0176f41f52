"""Sentences in the language of their reader: over HTTP, WebSockets and server-sent events, and of rows of earlier
versions.
"""

import asyncio
from datetime import timedelta
from typing import Any, Final

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from service import database
from service.languages import LANGUAGES, Sentence, translations
from service.mail import reasons
from service.mail.reasons import delivery_reason, to_columns
from service.models import Delivery
from tests.support.members import join_owner, listeners, subscription_started, update_policy
from tests.support.service import Browser, Service

pytestmark = pytest.mark.anyio

GUEST: Final = "guest@example.com"
_PROBLEM: Final = "__typename ... on Problem { message code }"
_INVITE: Final = "mutation($input: InviteMemberInput!) { answer: inviteMember(input: $input) { %s } }" % _PROBLEM  # noqa: UP031
_REVOKE: Final = "mutation($input: RevokeInviteInput!) { answer: revokeInvite(input: $input) { %s } }" % _PROBLEM  # noqa: UP031
_DISPLAYED: Final = """
query($id: ID!) { invitation(id: $id) { status blockedReason blockedCode deliveryReason deliveryCode
  timeline { nodes { kind summary details { key value } } } } }
"""
_LOG: Final = """
query($id: ID!) { community(id: $id) { auditLog(first: 100) { nodes { kind summary details { key value }
  membership { role member { email } } } } } }
"""


async def answer(browser: Browser, query: str, language: str, **variables: Any) -> Any:
    """The data of an operation in a language."""
    body = {"query": query, "variables": variables}
    response = await browser.client.post("/graphql", json=body, headers={"accept-language": language})
    assert "accept-language" in response.headers["vary"].lower()
    assert response.headers["cache-control"] == "no-store"
    data: Any = response.json()
    assert "errors" not in data, data
    return data["data"]


def details(event: Any) -> dict[str, str]:
    return {detail["key"]: detail["value"] for detail in event["details"]}


@pytest.mark.parametrize(
    ("language", "invalid", "known", "missing"),
    [
        (
            "en", "This is not an email address; one like name@example.com was expected.",
            "This address has a pending invitation already; you can send it again from there.",
            "There is no such invitation.",
        ),
        (
            "de-AT", "Das ist keine E-Mail-Adresse; erwartet wurde eine wie name@example.com.",
            "Diese Adresse hat schon eine offene Einladung; von dort aus können Sie sie noch einmal senden.",
            "Diese Einladung gibt es nicht.",
        ),
        (
            "xx, fr;q=0.5", "Ce n’est pas une adresse e-mail\xa0; une adresse comme name@example.com était attendue.",
            "Cette adresse a déjà une invitation en attente\xa0; vous pouvez la renvoyer depuis celle-ci.",
            "Cette invitation n’existe pas.",
        ),
        (
            "es", "Esto no es una dirección de correo; se esperaba una como name@example.com.",
            "Esta dirección ya tiene una invitación pendiente; puede reenviarla desde allí.", "Esa invitación no existe.",
        ),
    ],
)  # fmt: skip
async def test_problems_speak_the_language_of_the_request(
    service: Service, language: str, invalid: str, known: str, missing: str
) -> None:
    """A problem has the sentence in the request's language, and the same code in each language."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        await owner.invite(community, GUEST)
        reported = [
            (await answer(owner, _INVITE, language, input={"communityId": community, "email": "no address"}))["answer"],
            (await answer(owner, _INVITE, language, input={"communityId": community, "email": GUEST}))["answer"],
            (await answer(owner, _REVOKE, language, input={"invitationId": "inv_nothing"}))["answer"],
        ]
    assert reported == [
        {"__typename": "InvalidEmail", "message": invalid, "code": "EMAIL_INVALID"},
        {"__typename": "AlreadyInvited", "message": known, "code": "ALREADY_INVITED"},
        {"__typename": "NotFound", "message": missing, "code": "NOT_FOUND"},
    ]


async def test_one_document_is_answered_in_each_language(service: Service) -> None:
    """Cached documents and plans keep no language: the same document has the sentence of each request."""
    async with service.browser() as owner:
        await join_owner(service, owner)
        reported = [
            (await answer(owner, _REVOKE, language, input={"invitationId": "inv_nothing"}))["answer"]["message"]
            for language in (*LANGUAGES, *LANGUAGES)
        ]
    assert reported[:4] == reported[4:]
    assert len(set(reported)) == len(LANGUAGES)


async def test_a_blocked_invitation_has_code_and_sentence(service: Service) -> None:
    """blockedReason is in the language of the request, and blockedCode is its code."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        invitation = (await owner.invite(community, GUEST))["invitation"]["id"]
        await update_policy(owner, community, allowedEmailDomains=["elsewhere.example"])
        displayed = (await answer(owner, _DISPLAYED, "de", id=invitation))["invitation"]
    assert displayed["blockedCode"] == "DOMAIN_NOT_ALLOWED"
    assert displayed["blockedReason"].startswith("Die Regeln lassen Adressen dieser Domain nicht mehr zu.")


async def test_a_delivery_reason_is_stored_as_code_and_facts(service: Service) -> None:
    """New rows hold the code and the facts, no sentence. Each reader gets the sentence of their language."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        invitation = (await owner.invite(community, GUEST))["invitation"]["id"]
        reason = delivery_reason("MAIL_BOUNCED_NO_MAILBOX", bounce="Permanent, NoEmail", diagnostic="smtp; 550 unknown")
        await database.execute(
            "UPDATE invitations SET delivery = $1, delivery_code = $2, delivery_facts = $3 WHERE id = $4",
            Delivery.BOUNCED, *to_columns(reason), invitation,
        )  # fmt: skip
        displayed = {
            language: (await answer(owner, _DISPLAYED, language, id=invitation))["invitation"] for language in LANGUAGES
        }
    assert {one["deliveryCode"] for one in displayed.values()} == {"MAIL_BOUNCED_NO_MAILBOX"}
    reported = {language: one["deliveryReason"] for language, one in displayed.items()}
    assert reported["en"] == (
        "The mail came back: there is no such mailbox; check the spelling of the address (Permanent, NoEmail). The mail server"
        " said: smtp; 550 unknown"
    )
    assert reported["de"].endswith("prüfen Sie die Schreibweise der Adresse (Permanent, NoEmail). Der Mailserver meldete: smtp; 550 unknown")  # fmt: skip
    assert len(set(reported.values())) == len(LANGUAGES)


@pytest.mark.parametrize("facts", [None, "{}", "[]", "null", "5", '"text"', '{"next": [1]}', '{"bounce": 7}'])
async def test_row_without_its_facts_is_still_readable(service: Service, facts: str | None) -> None:
    """Rows of another version can lack a fact, or have another type of it. The sentence has "unknown" in its place."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        invitation = (await owner.invite(community, GUEST))["invitation"]["id"]
        await database.execute(
            "UPDATE invitations SET delivery = 'BOUNCED', delivery_code = 'MAIL_BOUNCED_NO_MAILBOX', delivery_facts = $1"
            " WHERE id = $2",
            facts, invitation,
        )  # fmt: skip
        await database.execute(
            "INSERT INTO audit_events (id, kind, at, community_id, invitation_id, details) VALUES ($1, $2, $3, $4, $5, $6)",
            "evt_odd", "invitation.bounced", service.clock() + timedelta(seconds=1), community, invitation,
            '{"reason": "MAIL_BOUNCED_NO_MAILBOX"}',
        )  # fmt: skip
        displayed = (await answer(owner, _DISPLAYED, "de", id=invitation))["invitation"]
    assert displayed["deliveryReason"].endswith("prüfen Sie die Schreibweise der Adresse (unbekannt).")
    assert "(unbekannt)" in next(
        event["summary"] for event in displayed["timeline"]["nodes"] if event["kind"] == "invitation.bounced"
    )


@pytest.mark.parametrize("delivery", ["SENT", "DELIVERED"])
async def test_sent_mail_has_no_reason_of_an_earlier_one(service: Service, delivery: str) -> None:
    """An earlier version that runs during an update leaves the code of the mail before."""
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        invitation = (await owner.invite(community, GUEST))["invitation"]["id"]
        await database.execute(
            "UPDATE invitations SET delivery = $1, delivery_code = 'MAIL_BOUNCED_NO_MAILBOX' WHERE id = $2",
            delivery, invitation,
        )  # fmt: skip
        displayed = (await answer(owner, _DISPLAYED, "en", id=invitation))["invitation"]
    assert (displayed["deliveryReason"], displayed["deliveryCode"]) == (None, None)


async def test_rows_of_earlier_versions_keep_their_english_sentence(service: Service) -> None:
    """A delivery reason, audit reasons and a flow's message that were stored as sentences are returned as they are."""
    async with service.browser() as owner, service.browser() as guest:
        community = await join_owner(service, owner)
        invitation = (await owner.invite(community, GUEST))["invitation"]["id"]
        await guest.accept(await service.token_for(GUEST))
        old = "The mail came back: 100% of the mailbox is used (Permanent, General)."
        await database.execute(
            "UPDATE invitations SET delivery = 'BOUNCED', delivery_reason = $1, delivery_code = NULL WHERE id = $2",
            old, invitation,
        )  # fmt: skip
        await database.execute("UPDATE flows SET message = $1, message_code = NULL, status = 'SIGN_IN_FAILED'", old)
        for kind, facts in (
            ("invitation.bounced", {"reason": old}),
            ("policy.changed", {"changes": "links live 9 minutes; no seat limit"}),
            ("access_token.created", {"scopes": "invite and read", "expires": "2027-03-01", "highest_role": "MEMBER"}),
            ("invitation.rate_limited", {"reason": "You have invited as many people as one may.", "rows": "2"}),
        ):
            await database.execute(
                "INSERT INTO audit_events (id, kind, at, community_id, invitation_id, details) VALUES ($1, $2, $3, $4, $5, $6)",
                f"evt_{kind[:18]}", kind, service.clock() + timedelta(seconds=1), community, invitation,
                orjson.dumps(facts).decode(),
            )  # fmt: skip
        displayed = (await answer(owner, _DISPLAYED, "en", id=invitation))["invitation"]
        reported = {event["kind"]: event["summary"] for event in displayed["timeline"]["nodes"]}
        acceptance = (await answer(guest, "{ acceptance { message } }", "de"))["acceptance"]
    assert (displayed["deliveryReason"], displayed["deliveryCode"]) == (old, None)
    assert reported["invitation.bounced"] == old
    assert reported["policy.changed"].endswith(
        "changed the rules for invitations: links live 9 minutes; no seat limit."
    )
    assert "may invite and read here, up to the role member, until March 1, 2027" in reported["access_token.created"]
    assert reported["invitation.rate_limited"].endswith("(2 refused): You have invited as many people as one may.")
    assert acceptance["message"] == old


async def test_audit_events_have_facts_and_the_membership_that_they_concern(service: Service) -> None:
    """Summaries are in the language of the request. Details are the same facts in each language. A membership is
    present while it exists.
    """
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        await update_policy(owner, community, linkMinutes=7, seatLimit=None)
        logs = {
            language: (await answer(owner, _LOG, language, id=community))["community"]["auditLog"]["nodes"]
            for language in LANGUAGES
        }
    for language, nodes in logs.items():
        assert [(event["kind"], details(event)) for event in nodes] == [
            (event["kind"], details(event)) for event in logs["en"]
        ], language
    changed = {language: nodes[0]["summary"] for language, nodes in logs.items()}
    assert details(logs["en"][0]) == {"linkMinutes": "7", "seatLimit": ""}
    assert changed["de"].endswith(
        "hat die Regeln für Einladungen geändert: Links gelten 7 Minuten und keine Begrenzung der Plätze."
    )
    assert len(set(changed.values())) == len(LANGUAGES)
    joined = next(event for event in logs["en"] if event["kind"] == "membership.joined")
    assert details(joined) == {"role": "OWNER"}
    assert joined["membership"] == {"role": "OWNER", "member": {"email": "owner@example.com"}}


async def test_refused_acceptance_is_in_each_language(service: Service) -> None:
    """The message of an acceptance is stored as a code, and read in the language of each request."""
    query = "{ acceptance { status reason message } }"
    async with service.browser() as owner, service.browser() as guest:
        community = await join_owner(service, owner)
        await owner.invite(community, GUEST)
        await guest.accept_as(await service.token_for(GUEST), "other@example.com")
        reported = {language: (await answer(guest, query, language))["acceptance"] for language in LANGUAGES}
        rows = await database.select("SELECT message, message_code FROM flows WHERE status = 'EMAIL_MISMATCH'")
    assert rows == [{"message": None, "message_code": "EMAIL_MISMATCH"}]
    assert {one["reason"] for one in reported.values()} == {"email_mismatch"}
    assert reported["en"]["message"] == (
        "You signed in as other@example.com, but this invitation is for g•••@example.com. Sign in with the account of that"
        " address: your link still works."
    )
    assert reported["es"]["message"].endswith("Entre con la cuenta de esa dirección: su enlace sigue siendo válido.")
    assert len({one["message"] for one in reported.values()}) == len(LANGUAGES)


@pytest.mark.parametrize(
    ("header", "payload", "expected"),
    [
        ("de", {}, "de"),
        ("de", {"acceptLanguage": "fr-CA, en;q=0.1"}, "fr"),
        ("de", {"Accept-Language": "es"}, "es"),
        ("de", {"acceptLanguage": "xx"}, "en"),
        ("", {"acceptLanguage": ["fr"]}, "en"),
    ],
)
async def test_a_websocket_has_the_language_of_its_connection(
    service: Service, header: str, payload: dict[str, Any], expected: str
) -> None:
    """connection_init's payload sets the language; without it, the handshake's header does."""
    subscription = "subscription($id: ID!) { invitationChanged(communityId: $id) { blockedReason } }"
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        await owner.invite(community, GUEST)
        await update_policy(owner, community, allowedEmailDomains=["elsewhere.example"])
        cookie = "; ".join(f"{name}={value}" for name, value in owner.client.cookies.items())
        headers = {"origin": service.url, "cookie": cookie, "accept-language": header}
        url = service.url.replace("http", "ws", 1) + "/graphql"
        async with connect(
            url, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=headers
        ) as socket:
            await socket.send(orjson.dumps({"type": "connection_init", "payload": payload}).decode())
            assert orjson.loads(await asyncio.wait_for(socket.recv(), 20)) == {"type": "connection_ack"}
            before, operation = listeners(community), {"query": subscription, "variables": {"id": community}}
            await socket.send(orjson.dumps({"type": "subscribe", "id": "1", "payload": operation}).decode())
            await subscription_started(community, before)
            await service.deliver()
            message = orjson.loads(await asyncio.wait_for(socket.recv(), 20))
    assert message["payload"]["data"]["invitationChanged"]["blockedReason"] == _blocked_in(expected)


async def test_server_sent_events_have_the_language_of_their_request(service: Service) -> None:
    """Events that are created in other tasks are still in the language of the POST."""
    subscription = "subscription($id: ID!) { invitationChanged(communityId: $id) { blockedReason } }"
    async with service.browser() as owner:
        community = await join_owner(service, owner)
        await owner.invite(community, GUEST)
        await update_policy(owner, community, allowedEmailDomains=["elsewhere.example"])
        headers, before = {"accept": "text/event-stream", "accept-language": "fr"}, listeners(community)
        body = {"query": subscription, "variables": {"id": community}}
        async with owner.client.stream("POST", "/graphql", json=body, headers=headers) as response:
            await subscription_started(community, before)
            await service.deliver()
            lines = response.aiter_lines()
            assert await asyncio.wait_for(anext(lines), 20) == "event: next"
            data = orjson.loads((await anext(lines)).removeprefix("data: "))
    assert data["data"]["invitationChanged"]["blockedReason"] == _blocked_in("fr")


def _blocked_in(language: str) -> str:
    return translations(language).gettext(
        "The rules no longer admit addresses of this domain. Allow the domain again, or invite them at another address."
    )


@pytest.mark.parametrize("code", sorted(reasons.CODES))
def test_each_delivery_code_has_a_sentence_in_each_language(code: str) -> None:
    """A stored code has a complete sentence in each language, with words of the mail server and the next step."""
    facts = dict.fromkeys(("bounce", "delay", "region", "name", "operation", "status", "server"), "x")
    reported = reasons.full_sentence(code, facts | {"diagnostic": "550 no", "next": "retry"})
    texts = [reported.text(language) for language in LANGUAGES]
    assert len(set(texts)) == len(LANGUAGES)
    assert all("550 no" in text and "%(" not in text for text in texts)
    assert isinstance(reported, Sentence)
    assert reported.code == code
