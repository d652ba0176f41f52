"""Reports the tests that this machine skips for missing programs. With CI set, they fail instead.

conftest.py imports this plugin before pytest does, so pytest does not rewrite its assertions: PYTEST_DONT_REWRITE.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import NoReturn

import pytest

_MARK = "left out: "
# The headless shell is the same engine and needs two thirds of the time.
_BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def skip_without(reason: str) -> NoReturn:
    """Skips a test because this machine has no such program. With CI set, fails it."""
    if os.environ.get("CI"):
        pytest.fail(f"{_MARK}{reason}", pytrace=False)
    pytest.skip(f"{_MARK}{reason}")


def find_chromium() -> str | None:
    """Returns the path of the machine's Chromium."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Returns the path of the machine's Chromium. Without one, tests that need it are skipped."""
    path = find_chromium()
    if path is None:
        skip_without("Chromium (apt-get install chromium-headless-shell)")
    return path


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Prints the missing programs after pytest's own summary."""
    yield
    lacking = Counter(reason for report in terminalreporter.stats.get("skipped", ()) for reason in _reasons(report))
    if lacking:
        terminalreporter.section("THIS RUN LEFT TESTS OUT", sep="!", red=True, bold=True)
        for reason, count in sorted(lacking.items()):
            terminalreporter.line(f"{count} without {reason}", red=True, bold=True)
        terminalreporter.line("With CI set, each of them fails.", red=True)


def _reasons(report: pytest.TestReport) -> Iterator[str]:
    if isinstance(report.longrepr, tuple):
        before, mark, reason = report.longrepr[2].partition(_MARK)
        if mark and before == "Skipped: ":
            yield reason
