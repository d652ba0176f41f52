"""The types of the pages' scripts, in JSDoc, checked by the TypeScript compiler."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from service import dev
from service.dev import operation_types
from service.web import pages
from tests import ROOT
from tests.support.requirements import skip_without

COMPILER: Final = ROOT / "node_modules" / ".bin" / "tsc"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folders with scripts, for the compiler to read and for a test to modify."""
    if shutil.which("node") is None or not COMPILER.exists():
        skip_without("the TypeScript compiler (apt-get install npm, then make test sets it up)")
    folder = tmp_path_factory.mktemp("service")
    for package in (pages, dev):
        source = Path(package.__file__ or "").parent
        shutil.copytree(source, folder / source.name)
    return folder


def check(service: Path) -> tuple[int, str]:
    """Runs the compiler and returns its exit status and output."""
    done = subprocess.run(  # noqa: S603 -- the compiler that package-lock.json pins
        [COMPILER, "--project", service / "pages" / "jsconfig.json", "--pretty", "false", "--listFiles"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_scripts_pass_the_type_check(service: Path) -> None:
    """Every script of the pages and of the mailbox passes the compiler in strict mode."""
    status, output = check(service)
    assert status == 0, output
    scripts = {str(path) for path in service.rglob("*.js")}
    assert len(scripts) > 20
    assert scripts <= set(output.splitlines()), "a script that the compiler never read"


def test_generated_operation_types_are_current() -> None:
    """`make operation-types` was run after the last change of the schema or of operations.js."""
    assert operation_types.OUTPUT.read_text("utf-8") == operation_types.generate()
    assert operation_types.documents().keys() >= {"OPEN", "SESSION", "INVITATION_CHANGED"}


@pytest.mark.parametrize(
    ("script", "mistake"),
    [
        ("pages/static/confirm.js", "acceptance.statuss"),
        ("pages/static/confirm-views.js", 't("no.such.words")'),
        ("pages/static/page.js", "elementById('view').focus.now()"),
        ("dev/mailbox.js", "document.getElementById('list').remove()"),
    ],
)
def test_a_type_error_in_a_script_is_reported(service: Path, script: str, mistake: str) -> None:
    """A wrong field, a wrong word id or an unchecked null fails the check, with file and line."""
    whole = (service / script).read_text("utf-8")
    wrong = f"/** @param {{import('/{service}/pages/static/operations.js').Acceptance}} acceptance */\nexport const x = (acceptance) => {mistake};"
    (service / script).write_text(f"{whole}\n{wrong}\n", "utf-8")
    try:
        status, output = check(service)
    finally:
        (service / script).write_text(whole, "utf-8")
    assert status != 0
    line = len(whole.splitlines()) + 3
    assert f"{Path(script).name}({line}," in output, output
