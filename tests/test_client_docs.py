"""The documents for client authors agree with the schema."""

import ast
import re

import pytest
from graphql import GraphQLError, parse, validate

from schema.limits.token_scopes import GRANTS
from schema.schema import DOCUMENT_INVALID, OPERATION_INVALID, build
from schema.subscription_transport import MOST_OF_MEMBER, MOST_ON_SOCKET
from service.invitations.views import BlockedCode
from service.mail import reasons
from service.openid import ProviderUnavailable
from tests import ROOT
from tests.schema.test_contract import RUNNING

_DOCS = ROOT / "docs"
_BLOCK = re.compile(r"```graphql\n(.*?)```", re.DOTALL)
_OPERATIONS = [
    (name, block) for name in ("clients.md", "backends.md") for block in _BLOCK.findall((_DOCS / name).read_text("utf-8"))
]  # fmt: skip


@pytest.mark.parametrize(("name", "operation"), _OPERATIONS)
def test_every_documented_operation_is_valid(name: str, operation: str) -> None:
    """Each operation in the documents is valid in the schema, and is within its limits."""
    assert validate(RUNNING, parse(operation)) == []
    assert not build(development=True).documents.parse(operation).varies


def test_each_document_has_its_operations() -> None:
    """The documents contain a query, a union, a subscription and a token, and every block is checked."""
    names = {name for name, _ in _OPERATIONS}
    assert names == {"clients.md", "backends.md"}
    operations = "\n".join(block for _, block in _OPERATIONS)
    for word in ("subscription", "... on Problem", "createAccessToken", "viewer"):
        assert word in operations
    with pytest.raises(GraphQLError):
        parse("query {")


def test_backends_document_names_every_grant() -> None:
    """The grants of tokens and the caps on live connections are the same in the documents and in the code."""
    text = (_DOCS / "backends.md").read_text("utf-8")
    assert [field for fields in GRANTS.values() for field in fields if f"`{field}`" not in text] == []
    clients = (_DOCS / "clients.md").read_text("utf-8")
    assert f"at most {MOST_OF_MEMBER} live connections a member, and {MOST_ON_SOCKET} subscriptions" in clients


def test_clients_document_lists_every_code() -> None:
    """The section on codes has each code of a sentence in the source, of a delivery and of a blocked invitation, and no others."""
    section = (_DOCS / "clients.md").read_text("utf-8").partition("\n## Codes\n")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`([A-Z][A-Z_]+)`", section))
    blocked = {code.value for code in BlockedCode}
    of_graphql = {DOCUMENT_INVALID, OPERATION_INVALID}
    assert listed == _codes_of_sentences() | reasons.CODES | blocked | of_graphql | {ProviderUnavailable.code}


def _codes_of_sentences() -> set[str]:
    """The codes in calls of `sentence` (service.languages)."""
    files = [path for room in ("service", "schema") for path in (ROOT / room).rglob("*.py")]
    calls = [
        node for path in files for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)
    ]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "sentence"]
    return {str(call.args[0].value) for call in named if isinstance(call.args[0], ast.Constant)}
