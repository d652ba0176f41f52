"""Checks that docs/security.md maps every hostile case to its tests."""

import ast
import re
from collections import defaultdict

from tests import ROOT

_TESTS = ROOT / "tests"
_TABLE = (ROOT / "docs" / "security.md").read_text("utf-8")
_ROW = re.compile(r"^\| (H\d{3}) \| (.+?) \| (.+?) \|$", re.MULTILINE)
_PUBLISHED = 102  # cases up to H168 are from public sources; later ones were found in this service


def cases_of(docstring: str) -> set[str]:
    """Returns the cases at the start of a test's docstring: `H001, H005-H007: ...`."""
    begins = re.match(r"((?:H\d{3}(?:-H\d{3})?(?:, )?)+):", docstring)
    found: set[str] = set()
    for first, last in re.findall(r"(H\d{3})(?:-(H\d{3}))?", begins[1] if begins else ""):
        found |= {f"H{number:03}" for number in range(int(first[1:]), int((last or first)[1:]) + 1)}
    return found


def proofs_by_case() -> dict[str, set[str]]:
    """Returns the tests as folder/file::name, by the cases of their docstrings."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(_TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for case in cases_of(ast.get_docstring(node) or ""):
                    found[case].add(f"{path.relative_to(_TESTS).with_suffix('')}::{node.name}")
    return found


def test_every_case_has_its_tests_or_a_reason() -> None:
    """Each case is in the table once, with exactly the tests that name it, or with a reason."""
    rows = {case: proof for case, _, proof in _ROW.findall(_TABLE)}
    assert len(rows) == len(_ROW.findall(_TABLE))
    assert sum(case <= "H168" for case in rows) == _PUBLISHED
    tests = proofs_by_case()
    assert {case for case in tests if case > "H168"} <= rows.keys()
    wrong = {
        case: proof
        for case, proof in rows.items()
        if not proof.startswith("does not apply: ")
        and set(re.findall(r"`([\w/]+::\w+)`", proof)) != tests.get(case, set())
    }
    assert not wrong
    unproven = [case for case, proof in rows.items() if not proof.startswith("does not apply: ") and "`" not in proof]
    assert not unproven


def test_case_that_does_not_apply_has_no_test() -> None:
    """A case with a reason for not applying has no test, or the reason is out of date."""
    excused = {case for case, _, proof in _ROW.findall(_TABLE) if proof.startswith("does not apply: ")}
    assert excused.isdisjoint(proofs_by_case())
