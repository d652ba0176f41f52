"""The public contract is a file, and so is the SDL of the running schema: every change of either is seen in review."""

from pathlib import Path

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    print_ast,
)

from service.app import printed_schema

_SCHEMA = Path(__file__).parent.parent / "schema"

# What the contract names and a later release brings; nothing else may be missing.
_LATER: set[str] = set()
_LATER_FIELDS: dict[str, set[str]] = {}
_LATER_ARGUMENTS: dict[str, set[str]] = {}

CONTRACT = build_schema((_SCHEMA / "contract.graphql").read_text("utf-8"))
RUNNING = build_schema(printed_schema())


def test_schema_file_is_the_running_schema() -> None:
    """schema/schema.graphql is, to the letter, what `guestlist schema` prints."""
    assert (_SCHEMA / "schema.graphql").read_text("utf-8") == printed_schema()


def test_only_named_types_wait_for_a_later_release() -> None:
    """Every type of the contract is built, save those listed here, and none of those is built already."""
    assert _own_types(CONTRACT) - set(RUNNING.type_map) == _LATER


@pytest.mark.parametrize("name", sorted(set(CONTRACT.type_map) & set(RUNNING.type_map)))
def test_type_keeps_the_contract(name: str) -> None:
    """A built type has every field, argument, member and value of the contract, in the contract's types."""
    promised, kept = CONTRACT.type_map[name], RUNNING.type_map[name]
    assert type(promised) is type(kept)
    missing = set(_parts(promised).items()) - set(_parts(kept).items())
    assert not missing


def _own_types(schema: GraphQLSchema) -> set[str]:
    return {name for name in schema.type_map if not name.startswith("__")}


def _parts(kind: GraphQLNamedType) -> dict[str, str]:
    """What a type promises, each part with its type as text."""
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        implemented = {f"implements {interface.name}": "" for interface in kind.interfaces}
        return implemented | {
            part: text for name in kind.fields for part, text in _field_parts(kind, name).items()
        }  # fmt: skip
    if isinstance(kind, GraphQLInputObjectType):
        return {name: _typed(field) for name, field in kind.fields.items()}
    if isinstance(kind, GraphQLUnionType):
        return {member.name: "" for member in kind.types if member.name not in _LATER}
    if isinstance(kind, GraphQLEnumType):
        return dict.fromkeys(kind.values, "")
    return {}


def _field_parts(kind: GraphQLObjectType | GraphQLInterfaceType, name: str) -> dict[str, str]:
    if name in _LATER_FIELDS.get(kind.name, set()):
        return {}
    field = kind.fields[name]
    later = _LATER_ARGUMENTS.get(f"{kind.name}.{name}", set())
    arguments = {
        f"{name}({argument})": _typed(found) for argument, found in field.args.items() if argument not in later
    }
    return {name: str(field.type), **arguments}


def _typed(value: GraphQLArgument | GraphQLInputField) -> str:
    """The type of an argument, and its default as it is written; a default of null is none."""
    node = value.ast_node.default_value if value.ast_node else None
    written = "null" if node is None else print_ast(node)
    return f"{value.type} = {written}"
