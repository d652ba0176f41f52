"""The pages' files: size, cache, languages and markup."""

import re

import httpx2
import pytest
from graphql import parse, validate

from service import flow_sentences
from service.languages import translations
from service.web.pages.files import without_comments
from tests.support.chromium import (
    STATIC,
    Site,
)
from tests.support.service import http_client

pytestmark = pytest.mark.anyio


async def test_the_pages_are_light_and_cached(site: Site) -> None:
    """All pages, with every file that one reader can load in the heaviest language, stay below 100 kB on the wire.
    Files are immutable under their own version only.
    """
    async with http_client(site.service.url) as client:
        weights = await _weights(client)
        languages = sorted(
            weights.pop(f"words/{language}.js") + weights.pop(f"words/console/{language}.js")
            for language in ("de", "es", "fr")
        )
        assert languages[-1] + sum(weights.values()) < 100_000, weights
        page = (await client.get("/confirm")).text
        script = re.findall(r'src="(/static/\w+/confirm\.js)"', page)[0]
        kept = await client.get(script)
        assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        again = await client.get(script, headers={"if-none-match": kept.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        foreign = await client.get(re.sub(r"/static/\w+/", "/static/before/", script))
        assert (foreign.status_code, foreign.headers["cache-control"]) == (200, "no-cache")
        assert (await client.get("/confirm")).headers["cache-control"] == "no-store"
        for path in ("/static/x/%2e%2e/files.py", "/static/x/..%2ffiles.py", "/static/x/none.js", "/static/x/"):
            assert (await client.get(path)).status_code == 404


async def _weights(client: httpx2.AsyncClient) -> dict[str, int]:
    """The transferred bytes of the pages and of all their files."""
    version = re.findall(r'"/static/(\w+)/', (await client.get("/confirm")).text)[0]
    files = [path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()]
    files += [f"words/{folder}{language}.js" for folder in ("", "console/") for language in ("de", "es", "fr")]
    addresses = {name: f"/static/{version}/{name}" for name in files} | {
        path: path for path in ("/", "/confirm", "/none")
    }
    weights = {}
    for name, address in addresses.items():
        file = await client.get(address, headers={"accept-encoding": "gzip"})
        assert (file.status_code, file.headers["content-encoding"]) == (404 if name == "/none" else 200, "gzip"), name
        weights[name] = int(file.headers["content-length"])
    return weights


def test_every_script_of_the_pages_is_named_in_their_markup() -> None:
    """A page requests all its scripts in parallel. Other languages load on demand."""
    markup = "".join(path.read_text("utf-8") for path in STATIC.parent.glob("*.html"))
    scripts = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js")}
    assert {script for script in scripts if f'"/static/{script}"' not in markup} == set()


@pytest.mark.parametrize(
    ("preferred", "language"),
    [("de-CH,en;q=0.8", "de"), ("ja, fr;q=0.5", "fr"), ("ja", "en"), ("en-US,de", "en"), ("", "en")],
)
async def test_the_markup_preloads_only_the_readers_language(site: Site, preferred: str, language: str) -> None:
    """The markup names the word modules of the reader's language only, and the response varies by it."""
    async with http_client(site.service.url) as client:
        for path in ("/", "/confirm"):
            page = await client.get(path, headers={"accept-language": preferred})
            assert set(re.findall(r"/words/(?:console/)?(\w+)\.js", page.text)) == {language}
            assert {"accept-language", "accept-encoding"} <= set(
                page.headers["vary"].replace(" ", "").lower().split(",")
            )


def test_scripts_are_sent_without_their_comments_line_by_line() -> None:
    """Every sent line equals the source's line of the same number or is empty. Only comments are removed."""
    for path in STATIC.rglob("*.js"):
        source = path.read_text("utf-8").splitlines()
        sent = without_comments(path.read_text("utf-8")).splitlines()
        assert all(line in ("", *source[number : number + 1]) for number, line in enumerate(sent)), path
        gone = [
            line.strip() for number, line in enumerate(source) if line.strip() and sent[number : number + 1] != [line]
        ]
        assert all(line.startswith(("//", "/**", "*")) for line in gone), path
        assert not [line for line in sent if line.strip().startswith(("//", "/**", "* "))], path


def test_every_operation_of_the_pages_fits_the_schema() -> None:
    """Every operation of the pages is valid GraphQL against the running schema. Its cost does not depend on variables:
    the pages use the public API like any other client.
    """
    from schema.schema import build  # noqa: PLC0415

    source = (STATIC / "operations.js").read_text("utf-8")
    parts = dict(re.findall(r"^const (\w+) = `([^`]*)`", source, re.MULTILINE))
    documents = re.findall(r"document: `([^`]*)`", source)
    assert len(documents) == source.count("document:") - 1 >= 18
    schema = build(development=True)
    for document in documents:
        whole = re.sub(r"\$\{(\w+)\}", lambda found: parts[found[1]], document)
        assert validate(schema._schema, parse(whole)) == [], whole
        assert not schema.documents.parse(whole).varies, whole


def test_every_sentence_of_a_flow_is_translated() -> None:
    """The pages show the service's sentences about sign-ins and acceptances, so each has a translation in every
    language.
    """
    messages = set(flow_sentences._MESSAGES.values())
    assert len(messages) > 30
    for language in ("de", "es", "fr"):
        assert {text for text in messages if translations(language).gettext(text) == text} == set(), language


def test_the_words_in_the_markup_match_the_catalogue() -> None:
    """A page that waits for its scripts shows the English text of the catalogue."""
    catalogue = dict(re.findall(r'^  "([\w.]+)": "(.*)",$', (STATIC / "words/en.js").read_text("utf-8"), re.MULTILINE))
    markup = "".join(path.read_text("utf-8") for path in STATIC.parent.glob("*.html"))
    found = re.findall(r'data-words="([\w.]+)"[^>]*>([^<]+)<', markup)
    assert len(found) >= 15
    assert dict(found) == {words: catalogue[words] for words, _ in found}


def test_no_page_has_inline_code_or_style() -> None:
    """The strict content security policy needs no exception."""
    for path in STATIC.parent.glob("*.html"):
        markup = path.read_text("utf-8")
        assert not re.search(r"\son\w+=|style=|<style|<script(?![^>]* src=)", markup), path.name
    scripts = "".join(path.read_text("utf-8") for path in STATIC.rglob("*.js"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage", scripts)
