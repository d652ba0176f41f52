"""The linter of plain English: `python -m tests.support.prose [FILE...]`, without files for the whole checkout.

Reads docstrings (of attributes too) and comments of Python, comments of the pages' scripts, and Markdown. Strings are not read: sentences for people and
descriptions of the GraphQL contract follow rules of their own. No library has these rules for all three kinds of files: ruff and
pydocstyle check the form of a docstring only, pybadcomments reads neither scripts nor Markdown and does not see where a sentence
begins, proselint has fixed rules, and vale is a Go program outside the lock files.
"""

import ast
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from pygments.lexers.javascript import JavascriptLexer
from pygments.token import Comment

from tests import ROOT

Text = tuple[int, str]  # the line where it begins, and the text

# Files that still break the rules.
UNFINISHED: Final[tuple[str, ...]] = ()

_SOURCES: Final = (
    *(
        "guestlist.py",
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/**/*.md",
        "service/web/pages/static/**/*.js",
    ),
    *(f"{folder}/**/*.py" for folder in ("service", "schema", "migrations", "tests")),
)
_OPENING: Final = re.compile(r"\W*(What|Who|Whatever|Whoever)\b(?!.*\?\W*$)")
_PHRASE: Final = re.compile(
    r"\b(whoever|whatever|is told|are told|is said|anew|in vain|all the same|for ever|comes of it|what is over)\b",
    re.IGNORECASE,
)
_TEST_NAME: Final = re.compile(r"test_what_|test_(?:.*_)?(?:told|whoever|nobody|however)(?:_|$)")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])[\"')\]*]*\s+|\n\s*\n")
_CODE: Final = re.compile(r"`+[^`]*`+")
_MARKDOWN: Final = MarkdownIt("commonmark").enable("table")


def violations(files: Iterable[Path]) -> Iterator[str]:
    """Yields one line for each sentence and each test name that breaks a rule."""
    for file in files:
        found = sorted(_READERS[file.suffix](file.read_text()))
        yield from (f"{file}:{line}: {hint}" for line, hint in found)


def sources() -> list[Path]:
    """Returns the files of the checkout that follow the rules."""
    skipped = tuple(str(ROOT / path) for path in UNFINISHED)
    return [path for glob in _SOURCES for path in sorted(ROOT.glob(glob)) if not str(path).startswith(skipped)]


def _hints(texts: Iterable[Text]) -> Iterator[Text]:
    for line, text in texts:
        for sentence in _SENTENCE_END.split(_CODE.sub("code", text)):
            plain = " ".join(sentence.split())
            if opening := _OPENING.match(plain):
                yield line, f"a sentence begins with {opening[1]}: {plain}"
            yield from ((line, f'"{phrase[1]}": {plain}') for phrase in _PHRASE.finditer(plain))


def _python(source: str) -> Iterator[Text]:
    """Reads every string that is a statement: docstrings, and strings after an assignment."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _TEST_NAME.match(node.name):
            yield node.lineno, f"the name of a test: {node.name}"
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from _hints([(node.lineno, inspect.cleandoc(node.value.value))])
    comments = (
        (*token.start, token.string.lstrip("#"))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    )
    yield from _hints(_blocks(source, comments))


def _script(source: str) -> Iterator[Text]:
    comments = (
        (source.count("\n", 0, start) + 1, start - source.rfind("\n", 0, start) - 1, re.sub(r"(?m)^\s*[/*]+", "", text))
        for start, kind, text in JavascriptLexer().get_tokens_unprocessed(source)
        if kind in Comment
    )
    yield from _hints(_blocks(source, comments))


def _markdown(source: str) -> Iterator[Text]:
    yield from _hints(_inline(source))


def _inline(source: str) -> Iterator[Text]:
    for token in _MARKDOWN.parse(source):
        if token.type == "inline":
            parts = ("code" if part.type == "code_inline" else part.content or " " for part in token.children or ())
            yield (token.map or [0])[0] + 1, "".join(parts)


def _blocks(source: str, comments: Iterable[tuple[int, int, str]]) -> Iterator[Text]:
    """Joins comments on consecutive lines of their own: a sentence can continue there. Comments come as line, column, text."""
    lines = source.splitlines()
    first, last, block = 0, -1, ""
    for line, column, text in comments:
        trailing = bool(lines[line - 1][:column].strip())
        if trailing or line != last + 1:
            yield first, block
            first, block = line, ""
        last, block = (-1 if trailing else line), f"{block}\n{text}"
    yield first, block


_READERS: Final = {".py": _python, ".js": _script, ".md": _markdown}

if __name__ == "__main__":
    sys.exit("\n".join(violations(map(Path, sys.argv[1:]) if sys.argv[1:] else sources())) or 0)
