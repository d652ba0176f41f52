"""What the suite has to leave out on this machine is said loudly at the end, and with CI set it fails instead.

conftest.py imports this plugin before pytest does, so pytest leaves it as it is: PYTEST_DONT_REWRITE.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import NoReturn

import pytest

_MARK = "left out: "
# The one without windows is the same engine and takes two thirds of the time.
_BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def skip_without(reason: str) -> NoReturn:
    """Skips the test for something that this machine lacks; where CI is set, fails it."""
    if os.environ.get("CI"):
        pytest.fail(f"{_MARK}{reason}", pytrace=False)
    pytest.skip(f"{_MARK}{reason}")


def find_chromium() -> str | None:
    """The path of the machine's Chromium."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the machine's Chromium; tests that need it are left out where there is none."""
    path = find_chromium()
    if path is None:
        skip_without("Chromium (apt-get install chromium-headless-shell)")
    return path


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """The last words of the suite, after all that pytest itself has to say."""
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
