"""The linter of plain English finds each violation in its place, and the checkout has none."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.support.prose import sources, violations


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("module.py", '"""What is stored here."""\n', "module.py:1: a sentence begins with What"),
        ("module.py", "def f():\n    '''Returns it.\n\n    Whoever calls it waits.'''\n", "begins with Whoever"),
        ("module.py", "x = 1  # who asks, is told\n", 'module.py:1: "is told"'),
        ("module.py", 'x = 1\n"""Whatever is stored."""\n', "module.py:2: a sentence begins with Whatever"),
        ("module.py", "# A row is written\n# anew each time.\n", '"anew"'),
        (
            "module.py",
            "# A row is always\n# said again. What\n# is stored is told.\n",
            "begins with What: What is stored is told.",
        ),
        ("module.py", "x = 1  # the first\ny = 2  # What is second\n", "module.py:2: a sentence begins with What"),
        ("module.py", "def test_what_it_does() -> None: ...\n", "the name of a test: test_what_it_does"),
        ("page.md", "Text.\n\n| case | rule |\n|---|---|\n| a | Who asks gets 404. |\n", "begins with Who"),
        ("page.js", "/**\n * What the page shows.\n */\n", "begins with What"),
        ("page.js", "a(); // the first\nb(); // What is second\n", "page.js:2: a sentence begins with What"),
    ],
)
def test_violation_is_reported_with_its_line(tmp_path: Path, name: str, text: str, hint: str) -> None:
    """Docstrings (of attributes too), comments, test names, Markdown and comments of scripts are read."""
    file = tmp_path / name
    file.write_text(text)
    assert hint in "\n".join(violations([file]))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("module.py", '"""Returns the row."""\nTEXT = "What is this? Whatever."\n'),
        ("module.py", '"""What does it return?"""\n'),
        ("module.py", "x = 1  # the value is\ny = 2  # told apart by its name\n"),
        ("page.md", "Run `what is over` in the shell.\n"),
        ("page.js", 'const title = "Who invites"; // the heading\n'),
    ],
)
def test_strings_questions_and_code_are_ignored(tmp_path: Path, name: str, text: str) -> None:
    """Sentences for people are strings with their own rules. Questions may begin with What."""
    file = tmp_path / name
    file.write_text(text)
    assert list(violations([file])) == []


@pytest.mark.parametrize(
    ("text", "code", "report"),
    [("Returns it.", 0, ""), ("What it stores.", 1, "%s:1: a sentence begins with What: What it stores.\n")],
)
def test_command_reports_violations_of_a_file(tmp_path: Path, text: str, code: int, report: str) -> None:
    """`python -m tests.support.prose FILE` prints the line of each violation and exits 1, or exits 0 silently."""
    file = tmp_path / "module.py"
    file.write_text(f'"""{text}"""\n')
    command = [sys.executable, "-m", "tests.support.prose", str(file)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 -- our linter
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr == report.replace("%s", str(file))


def test_checkout_follows_the_rules() -> None:
    """All rooms, the pages' scripts and the documents are read, and none has a violation."""
    files = sources()
    assert {ROOT / "README.md", ROOT / "service" / "app.py", ROOT / "tests" / "test_prose.py"} <= set(files)
    assert list(violations(files)) == []


def test_make_lint_checks_the_prose() -> None:
    """`make lint` runs the linter of plain English."""
    command = ["make", "--dry-run", "--always-make", "lint"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 -- our Makefile
    assert "tests.support.prose" in planned.stdout
