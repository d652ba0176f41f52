"""The public contract and the SDL of the running schema are files, so that a review shows every change of either."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    is_required_argument,
    is_required_input_field,
    print_ast,
)

from service.app import printed_schema
from tests import ROOT

_SCHEMA = ROOT / "schema"

CONTRACT = build_schema(Path(__file__).with_name("contract.graphql").read_text("utf-8"))
RUNNING = build_schema(printed_schema())


# Descriptions that say more than the contract. Their original statement still holds.
_GROWN = {
    "Part of the address or of displayEmail, in any case.": "Part of the address, in any case.",
    "What became of the newest mail of the invitation. CANCELLED: the invitation ended before the mail was sent.": (
        "What became of the newest mail of the invitation."
    ),
    (
        "Send a new link; every earlier link of the invitation, and every flow begun with one, dies at once. Reopens a"
        " declined invitation unless the address is blocked. The caller becomes its inviter."
    ): (
        "Send a new link; every earlier link of the invitation, and every flow begun with one, dies at once. Reopens a"
        " declined invitation unless the invitee blocked the community. The caller becomes its inviter."
    ),
    "Another address that the holder of a link proved and asked to be invited at; an admin decides.": (
        "Another address that the invitee proved and asked to be invited at; an admin decides."
    ),
    (
        "No more invitations from this community to this address. Needs the token. The invited mailbox gets a mail about"
        " it, which can lift the block."
    ): "No more invitations from this community to this address.",
    "The holder of a live link declines, without a sign-in. An admin can reopen it by resending.": (
        "The invitee says no. Needs a live link; no sign-in. An admin can reopen it by resending."
    ),
    "A field left out stays as it is; null removes seatLimit and locale, and is InvalidInput anywhere else.": (
        "A field left out stays as it is; null removes seatLimit, and is InvalidInput anywhere else."
    ),
    "For a person to read, in the language of the request; never a secret, never an internal detail.": (
        "For a person to read; never a secret, never an internal detail."
    ),
    (
        "Why a pending invitation cannot be accepted now (its inviter lost the right, no seat is left), and what helps, in"
        " the language of the request; null otherwise."
    ): (
        "Why a pending invitation cannot be accepted now (its inviter lost the right, no seat is left), and what helps;"
        " null otherwise."
    ),
    (
        "A sentence on the delivery, with what the admin can do: the bounce's diagnostic, the next try. It is in the"
        " language of the request, but in English where an earlier version of the service wrote it."
    ): "A sentence on the delivery, with what the admin can do: the bounce's diagnostic, the next try.",
    "A sentence for a person, with what they can do next, in the language of the request.": (
        "A sentence for a person, with what they can do next."
    ),
    "A sentence for a person, in the language of the request.": "A sentence for a person.",
    (
        "What the holder of a live link may know before proving who they are; null for any dead or unknown token. Without a"
        " token: the link of the acceptance named, or of this browser's newest flow."
    ): (
        "What the holder of a live link may know before proving who they are; null for any dead or unknown token. Without a"
        " token: the link of this browser's newest flow."
    ),
    "How a sign-in of this browser came out; the newest without an id; null when it began none.": (
        "How this browser's newest sign-in came out; null when it began none."
    ),
    "Without a token: the link of the acceptance named, or of this browser's newest flow.": (
        "Without a token: the link of this browser's newest flow."
    ),
    "The sign-ins that open this account; at most 100.": "The sign-ins that open this account.",
    "Where this person is signed in; the current session comes first; at most 100.": (
        "Where this person is signed in; the current session comes first."
    ),
}


def _own_types(schema: GraphQLSchema) -> set[str]:
    return {name for name in schema.type_map if not name.startswith("__")}


def test_schema_file_is_the_running_schema() -> None:
    """schema/schema.graphql equals the output of `guestlist schema`."""
    assert (_SCHEMA / "schema.graphql").read_text("utf-8") == printed_schema()


def test_every_type_of_the_contract_is_built() -> None:
    """Every type of the contract exists."""
    assert _own_types(CONTRACT) - set(RUNNING.type_map) == set()


@pytest.mark.parametrize("name", sorted(_own_types(CONTRACT)))
def test_type_keeps_the_contract(name: str) -> None:
    """A type has every field, argument, member and value of the contract, with its types, defaults and descriptions."""
    promised, kept = CONTRACT.type_map[name], RUNNING.type_map[name]
    assert type(promised) is type(kept)
    missing = set(_parts(promised).items()) - set(_parts(kept).items())
    assert not missing


@pytest.mark.parametrize("name", sorted(_own_types(CONTRACT)))
def test_type_requires_no_more_than_the_contract(name: str) -> None:
    """Additions are optional: no additional argument or input field is required."""
    promised = _typed_parts(CONTRACT.type_map[name])
    further = _required(RUNNING.type_map[name]) - promised.keys()
    # Arguments of a new field may be required.
    assert not {part for part in further if "(" not in part or part.partition("(")[0] in promised}


def _required(kind: GraphQLNamedType) -> set[str]:
    if isinstance(kind, GraphQLInputObjectType):
        return {name for name, field in kind.fields.items() if is_required_input_field(field)}
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        return {
            f"{name}({argument})"
            for name, field in kind.fields.items()
            for argument, found in field.args.items()
            if is_required_argument(found)
        }
    return set()


def _parts(kind: GraphQLNamedType) -> dict[str, str]:
    """The parts of a type, each with its type as text, and its description where it has one."""
    return _typed_parts(kind) | {f"what {name} means": words for name, words in _described(kind) if words}


def _described(kind: GraphQLNamedType) -> Iterator[tuple[str, str]]:
    yield "it", _words(kind)
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        for name, field in kind.fields.items():
            yield name, _words(field)
            yield from ((f"{name}({argument})", _words(found)) for argument, found in field.args.items())
    if isinstance(kind, GraphQLInputObjectType):
        yield from ((name, _words(found)) for name, found in kind.fields.items())


def _words(described: GraphQLNamedType | GraphQLField | GraphQLArgument | GraphQLInputField) -> str:
    words = " ".join((described.description or "").split())
    return _GROWN.get(words, words)


def _typed_parts(kind: GraphQLNamedType) -> dict[str, str]:
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        implemented = {f"implements {interface.name}": "" for interface in kind.interfaces}
        return implemented | {part: text for name in kind.fields for part, text in _field_parts(kind, name).items()}
    if isinstance(kind, GraphQLInputObjectType):
        return {name: _typed(field) for name, field in kind.fields.items()}
    if isinstance(kind, GraphQLUnionType):
        return {member.name: "" for member in kind.types}
    if isinstance(kind, GraphQLEnumType):
        return dict.fromkeys(kind.values, "")
    return {}


def _field_parts(kind: GraphQLObjectType | GraphQLInterfaceType, name: str) -> dict[str, str]:
    field = kind.fields[name]
    return {name: str(field.type), **{f"{name}({argument})": _typed(found) for argument, found in field.args.items()}}


def _typed(value: GraphQLArgument | GraphQLInputField) -> str:
    """The type of an argument, and its default as written. A default of null counts as none."""
    node = value.ast_node.default_value if value.ast_node else None
    written = "null" if node is None else print_ast(node)
    return f"{value.type} = {written}"
