"""The words of the pages in every language."""

import re
from typing import Final

import orjson
import pytest
from playwright.async_api import expect

from service.audit_log import sentences as audit_sentences
from service.invitations.views import BLOCKED_BY_INVITER, BLOCKED_BY_RULES, BLOCKED_BY_SEATS
from service.languages import LANGUAGES, translations
from service.mail import suppression
from service.mail.reasons import delivery_reason
from service.web.pages.words import translated_module
from tests.support.chromium import (
    OWNER,
    STATIC,
    Site,
    accept_as,
    assert_accessible,
    heading,
    visible_text,
)

pytestmark = pytest.mark.anyio


LINE: Final = re.compile(r'^  "([\w.]+)":\s+(.+),$', re.MULTILINE)
TRANSLATED: Final = [language for language in LANGUAGES if language != "en"]


@pytest.mark.parametrize("language", TRANSLATED)
@pytest.mark.parametrize("folder", ["", "console/"])
def test_every_word_is_translated_with_its_values_and_forms(folder: str, language: str) -> None:
    """A translated module has the same ids as the English one. Every text keeps its placeholders and its plural forms."""
    source = STATIC / "words" / folder / "en.js"
    english = dict(LINE.findall(source.read_text("utf-8")))
    translated = dict(LINE.findall(translated_module(source, language)))
    assert len(english) > 90
    assert translated.keys() == english.keys()
    for name, text in translated.items():
        values = set(re.findall(r"\{\w+\}", english[name]))
        assert set(re.findall(r"\{\w+\}", text)) == values, name
        assert text.startswith("forms(") == english[name].startswith("forms("), name
    same = [name for name, text in translated.items() if text == english[name] and len(text.split()) > 6]
    assert same == [], "not translated"


def test_pages_know_the_languages_of_the_service() -> None:
    """words.js loads modules of the languages that the service has catalogues for."""
    languages = re.findall(
        r"^export const LANGUAGES = (\[.*\]);$", (STATIC / "words.js").read_text("utf-8"), re.MULTILINE
    )
    assert [tuple(orjson.loads(found)) for found in languages] == [LANGUAGES]


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_audit_event_is_translated_and_can_be_filtered(language: str) -> None:
    """Each kind of event in a community's log has a sentence in every language and a group in the filter."""
    kinds = {kind for kind in audit_sentences._SENTENCES if not re.match(r"member\.(sign|identity)", kind)}
    groups = (STATIC / "console/audit.js").read_text("utf-8").partition("const KINDS = {")[2].partition("};")[0]
    assert set(re.findall(r'"(\w+\.\w+)"', groups)) == kinds | {"invitation.accept_refused"}
    sentences = {audit_sentences._SENTENCES[kind] for kind in kinds} - {"%(reason)s"}
    assert {text for text in sentences if translations(language).gettext(text) == text} == set()


_OWN_TEXT: Final = """() => {
  const body = document.body.cloneNode(true);
  for (const foreign of body.querySelectorAll("[lang=en], template, noscript")) foreign.remove();
  return body.textContent;
}"""


async def test_the_console_speaks_the_readers_language(site: Site) -> None:
    """A German reader sees German in every view, and any remaining English is marked as English."""
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
        await expect(visible_text(page, "Owner hat zur Rolle „Mitglied“ eingeladen.")).to_be_visible()


@pytest.mark.parametrize("language", TRANSLATED)
def test_reasons_of_blocks_and_suppressions_are_translated(language: str) -> None:
    """Each sentence about a blocked invitation or a mail that was not sent has a translation."""
    blocked = [BLOCKED_BY_INVITER, BLOCKED_BY_RULES, BLOCKED_BY_SEATS]
    reasons = [suppression.SUPPRESSED, delivery_reason("MAIL_MARKED_AS_SPAM")]
    assert [str(sentence) for sentence in (*blocked, *reasons) if sentence.text(language) == str(sentence)] == []


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("de-CH", "Hier ist nichts"),
        ("fr", "Il n’y a rien ici"),
        ("es-MX", "Aquí no hay nada"),
        ("ja", "There is nothing here"),
    ],
)
async def test_pages_speak_the_readers_language(site: Site, language: str, title: str) -> None:
    """The page uses the first of the browser's languages that has a translation, and English otherwise."""
    page = await site.person(language=language)
    await page.goto("/nowhere")
    await expect(heading(page)).to_have_text(title)
    spoken = language[:2] if language != "ja" else "en"
    await expect(page.locator("html")).to_have_attribute("lang", spoken)
    await assert_accessible(page, language)
