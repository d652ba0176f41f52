"""The direction of imports between rooms: a wrong import fails `make lint`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 -- our linter


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copies the packages and the configuration of the linter."""
    for package in ("service", "schema"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("service/mail/suppression.py", "from schema.cursors import BadArgument"),
        ("service/limits.py", "from service.invitations import manage"),
        ("service/errors.py", "from service.communities.access import CommunityAccess"),
        ("service/invitations/views.py", "from service.delivery import worker"),
        ("schema/cursors.py", "from schema.types import Community"),
        ("service/exports.py", "from tortoise.expressions import Q"),
    ],
)
def test_wrong_import_fails_the_linter(copy: Path, module: str, line: str) -> None:
    """An import of schema/ inside service/, or of a higher room, breaks a contract of the linter."""
    file = copy / module
    file.write_text(f"{file.read_text('utf-8')}\n\n{line}\n", "utf-8")
    linted = _lint(copy)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert "BROKEN" in linted.stdout


def test_code_keeps_the_direction(copy: Path) -> None:
    """Without a wrong import, the linter passes."""
    assert _lint(copy).returncode == 0


def test_make_lint_checks_the_direction() -> None:
    """`make lint` runs the linter of imports."""
    command = ["make", "--dry-run", "--always-make", "lint"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 -- our Makefile
    assert "lint-imports" in planned.stdout
