"""The words of the pages in every language."""

import re
from typing import Final

import pytest
from playwright.async_api import expect

from service.audit_log import sentences as audit_sentences
from service.invitations.views import BLOCKED_BY_INVITER, BLOCKED_BY_RULES, BLOCKED_BY_SEATS
from service.mail import suppression
from service.mail.reasons import delivery_reason
from tests.schema.test_contract import RUNNING
from tests.support.chromium import (
    OWNER,
    STATIC,
    Site,
    accept_as,
    visible_text,
)

pytestmark = pytest.mark.anyio


# What the console's actions can answer.
UNIONS: Final = (
    "InviteMemberResult", "InviteMembersResult", "ResendInviteResult", "RevokeInviteResult", "ChangeRoleResult",
    "RemoveMemberResult", "UpdateInvitationPolicyResult", "CreateCommunityResult", "CreateAccessTokenResult",
    "RevokeAccessTokenResult", "LinkIdentityResult", "SignInResult",
)  # fmt: skip


def _catalogue(name: str) -> tuple[dict[str, str], dict[str, str]]:
    """The words of a catalogue by their ids, and those for what the service says by its."""
    words, _, visible_text = (STATIC / "words" / f"{name}.js").read_text("utf-8").partition("export const told")
    pattern = re.compile(r'^  (?:"([\w.]+)"|(\w+)): (.+),$', re.MULTILINE)
    found = [{quoted or bare: text for quoted, bare, text in pattern.findall(part)} for part in (words, visible_text)]
    return found[0], found[1]


@pytest.mark.parametrize("language", ["de", "fr", "es"])
@pytest.mark.parametrize("place", ["", "console/"])
def test_every_word_is_there_in_every_language(place: str, language: str) -> None:
    """No catalogue lacks an id or has one too many, and every sentence keeps its values and its forms of number."""
    english, translated = _catalogue(f"{place}en")[0], _catalogue(f"{place}{language}")[0]
    assert len(english) > 90
    assert translated.keys() == english.keys()
    for name, text in translated.items():
        values = set(re.findall(r"\{\w+\}", english[name]))
        assert set(re.findall(r"\{\w+\}", text)) == values, name
        assert text.startswith("forms(") == english[name].startswith("forms("), name
    same = [name for name, text in translated.items() if text == english[name] and len(text.split()) > 6]
    assert same == [], "a sentence that is English still"


@pytest.mark.parametrize("language", ["de", "fr", "es"])
def test_every_event_and_refusal_has_words_in_every_language(language: str) -> None:
    """Each kind of event that a community's log can hold, and each refusal that the console can meet, is translated."""
    visible_text = _catalogue(f"console/{language}")[1] | _catalogue(language)[1]
    kinds = {kind for kind in audit_sentences._SENTENCES if not re.match(r"member\.(sign|identity)", kind)}
    problems = {kind.name for name in UNIONS for kind in RUNNING.type_map[name].types}  # type: ignore[attr-defined]
    expected = (
        kinds | {"invitation.accept_refused"} | {name for name in problems if not name.endswith(("Success", "Started"))}
    )
    groups = (STATIC / "console/audit.js").read_text("utf-8").partition("const KINDS = {")[2].partition("};")[0]
    grouped = set(re.findall(r'"(\w+\.\w+)"', groups))
    assert grouped == kinds | {"invitation.accept_refused"}, "each can be asked for in the log"
    assert expected - visible_text.keys() == {"InvalidInput", "NotSignedIn"}, (
        "the one names its field, the other leads to the sign-in"
    )


_OWN_TEXT: Final = """() => {
  const body = document.body.cloneNode(true);
  for (const foreign of body.querySelectorAll("[lang=en], template, noscript")) foreign.remove();
  return body.textContent;
}"""


async def test_the_console_speaks_the_readers_language(site: Site) -> None:
    """A German reader meets German in every view: what is left of English is marked as such."""
    async with site.invited() as (owner, invitation_id):
        page = await site.person(language="de-DE")
        await page.goto("/")
        await accept_as(page, None, OWNER)
        community = f"/#/communities/{await owner.community_id()}"
        views = ("", "/members", "/audit", "/rules", "/invite", f"/invitations/{invitation_id}")
        for view in (*(community + view for view in views), "/", "/#/account"):
            await page.goto("about:blank")
            await page.goto(view)
            await expect(page.get_by_role("main")).not_to_have_attribute("aria-busy", "true")
            await expect(page.locator("html")).to_have_attribute("lang", "de")
            text = await page.evaluate(_OWN_TEXT)
            assert not re.search(r"\b(the|and|Invitation|Members|Sign|your)\b", text), (view, text)
        await page.goto(f"{community}/invitations/{invitation_id}")
        await expect(visible_text(page, "Die Einladung wurde ausgesprochen.")).to_be_visible()


@pytest.mark.parametrize("language", ["de", "fr", "es"])
def test_the_sentences_that_are_translated_whole_are_those_of_the_service(language: str) -> None:
    """Each sentence on what blocks an invitation, or keeps mail from its address, has words in every catalogue, and no
    catalogue has another's.
    """
    catalogue = (STATIC / f"words/console/{language}.js").read_text("utf-8")
    sentences = set(re.findall(r'^  "([^"]+ [^"]+)":', catalogue, re.MULTILINE))
    blocked = [BLOCKED_BY_INVITER, BLOCKED_BY_RULES, BLOCKED_BY_SEATS]
    reasons = [suppression.SUPPRESSED, delivery_reason("MAIL_MARKED_AS_SPAM")]
    assert sentences == {str(sentence) for sentence in (*blocked, *reasons)}
