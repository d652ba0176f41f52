"""Generates the TypeScript types of the pages' GraphQL operations: `python -m service.dev.operation_types`.

Reads schema/schema.graphql and the documents in operations.js, and writes service/web/pages/operation-types.d.ts. A test
fails while that file is out of date. Every selection set becomes a type with the name of its GraphQL type. A type with several
selections has the name of the selection's first operation in front.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_required_input_field,
    parse,
    print_ast,
    type_from_ast,
)

_PAGES: Final = Path(__file__).parents[1] / "web" / "pages"
_SCHEMA: Final = Path(__file__).parents[2] / "schema" / "schema.graphql"
OUTPUT: Final = _PAGES / "operation-types.d.ts"

_HEADER: Final = (
    "// Generated from schema.graphql and operations.js by `python -m service.dev.operation_types`. Do not edit.\n"
)
_SCALARS: Final = {"Int": "number", "Float": "number", "Boolean": "boolean"}


def documents() -> dict[str, str]:
    """The GraphQL documents in operations.js by the names of their constants."""
    source = (_PAGES / "static" / "operations.js").read_text("utf-8")
    parts = dict(re.findall(r"^const (\w+) = `([^`]*)`", source, re.MULTILINE))
    found = re.findall(r"^export const (\w+) = \{\s*document: `([^`]*)`", source, re.MULTILINE)
    return {name: re.sub(r"\$\{(\w+)\}", lambda match: parts[match[1]], document) for name, document in found}


def generate() -> str:
    """The text of operation-types.d.ts."""
    schema = build_schema(_SCHEMA.read_text("utf-8"))
    operations = [cast("OperationDefinitionNode", parse(text).definitions[0]) for text in documents().values()]
    return _HEADER + "\n" + "\n".join(_Types(schema, operations).declarations())


class _Types:
    """The declarations of a schema's operations."""

    def __init__(self, schema: GraphQLSchema, operations: list[OperationDefinitionNode]) -> None:
        self._schema = schema
        self._operations = operations
        self._inputs: dict[str, str] = {}
        self._names = _names(schema, operations)
        self._objects: dict[str, str] = {}

    def declarations(self) -> Iterator[str]:
        roots = [self._operation(operation) for operation in self._operations]
        yield from (text for _, text in sorted(self._inputs.items()))
        yield from (text for _, text in sorted(self._objects.items()))
        yield from roots

    def _operation(self, operation: OperationDefinitionNode) -> str:
        name = _name_of(operation)
        root = cast("GraphQLObjectType", self._schema.get_root_type(operation.operation))
        variables = {
            variable.variable.name.value: (cast("GraphQLInputType", type_from_ast(self._schema, variable.type)), False)
            for variable in operation.variable_definitions or ()
        }
        data = _block([self._field(root, field) for field in _fields(self._schema, root, operation.selection_set)])
        return f"export type {name}Data = {data};\nexport type {name}Variables = {self._input_block(variables)};\n"

    # ------------------------------------------------------------------------------------------------- answers

    def _field(self, parent: GraphQLObjectType, field: FieldNode) -> str:
        key = field.alias.value if field.alias else field.name.value
        if key == "__typename":
            return f'__typename: "{parent.name}"'
        return f"{key}: {self._output(parent.fields[field.name.value].type, field.selection_set)}"

    def _output(self, kind: GraphQLOutputType, selected: SelectionSetNode | None) -> str:
        if isinstance(kind, GraphQLNonNull):
            return self._present(kind.of_type, selected)
        return f"{self._present(kind, selected)} | null"

    def _present(self, kind: GraphQLOutputType, selected: SelectionSetNode | None) -> str:
        if isinstance(kind, GraphQLList):
            item = self._output(kind.of_type, selected)
            return f"({item})[]" if "|" in item else f"{item}[]"
        if selected is None or not is_composite_type(kind):
            return self._leaf(kind)
        return self._object(get_named_type(kind).name, selected)

    def _object(self, type_name: str, selected: SelectionSetNode) -> str:
        name = self._names[type_name, _key(selected)]
        if name not in self._objects:
            self._objects[name] = ""
            self._objects[name] = f"export type {name} = {self._shape(type_name, selected)};\n"
        return name

    def _shape(self, type_name: str, selected: SelectionSetNode) -> str:
        kind = self._schema.type_map[type_name]
        if not is_abstract_type(kind):
            return self._member(cast("GraphQLObjectType", kind), selected, set())
        members = sorted(self._schema.get_possible_types(kind), key=lambda member: member.name)
        problems = [member for member in members if _is_problem(member)]
        keys = {
            field.name.value for member in problems for field in _fields(self._schema, member, selected)
        }  # fmt: skip
        return "".join(
            f"\n  | {self._member(member, selected, keys if member in problems else set(), '    ')}"
            for member in members
        )

    def _member(self, kind: GraphQLObjectType, selected: SelectionSetNode, others: set[str], indent: str = "") -> str:
        """One member. The fields that only other problems have are optional, so that a script may read them."""
        fields = _fields(self._schema, kind, selected)
        missing = sorted(others - {field.name.value for field in fields})
        return _block(
            [*(self._field(kind, field) for field in fields), *(f"{name}?: undefined" for name in missing)], indent
        )

    # --------------------------------------------------------------------------------------------- variables

    def _input_block(self, fields: Mapping[str, tuple[GraphQLInputType, bool]]) -> str:
        """The fields by name: their type, and whether they have a default."""
        return _block([f"{name}{self._input(kind, optional)}" for name, (kind, optional) in fields.items()])

    def _input(self, kind: GraphQLInputType, optional: bool) -> str:
        if isinstance(kind, GraphQLNonNull):
            return f"{'?' if optional else ''}: {self._value(kind.of_type)}"
        return f"?: {self._value(kind)} | null"

    def _value(self, kind: GraphQLInputType) -> str:
        if isinstance(kind, GraphQLNonNull):
            return self._value(kind.of_type)
        if isinstance(kind, GraphQLList):
            return f"{self._value(kind.of_type)}[]"
        if not isinstance(kind, GraphQLInputObjectType):
            return self._leaf(kind)
        if kind.name not in self._inputs:
            self._inputs[kind.name] = ""
            fields = {name: (field.type, not is_required_input_field(field)) for name, field in kind.fields.items()}
            self._inputs[kind.name] = f"export type {kind.name} = {self._input_block(fields)};\n"
        return kind.name

    def _leaf(self, kind: GraphQLOutputType | GraphQLInputType) -> str:
        if not isinstance(kind, GraphQLEnumType):
            return _SCALARS.get(get_named_type(kind).name, "string")
        values = " | ".join(f'"{value}"' for value in kind.values)
        self._inputs[kind.name] = f"export type {kind.name} = {values};\n"
        return kind.name


def _names(schema: GraphQLSchema, operations: list[OperationDefinitionNode]) -> dict[tuple[str, str], str]:
    """The name of each type's selections, in the order of operations.js."""
    selections: dict[str, dict[str, str]] = {}
    for operation in operations:
        root = cast("GraphQLObjectType", schema.get_root_type(operation.operation))
        for type_name, selected in _selections(schema, root, operation.selection_set):
            selections.setdefault(type_name, {}).setdefault(_key(selected), _name_of(operation))
    return {
        (type_name, key): type_name if len(keys) == 1 else f"{operation}{type_name}"
        for type_name, keys in selections.items()
        for key, operation in keys.items()
    }


def _selections(
    schema: GraphQLSchema, parent: GraphQLObjectType, selected: SelectionSetNode
) -> Iterator[tuple[str, SelectionSetNode]]:
    for field in _fields(schema, parent, selected):
        if field.selection_set is None:
            continue
        kind = get_named_type(parent.fields[field.name.value].type)
        yield kind.name, field.selection_set
        members = schema.get_possible_types(kind) if is_abstract_type(kind) else [cast("GraphQLObjectType", kind)]
        for member in members:
            yield from _selections(schema, member, field.selection_set)


def _fields(schema: GraphQLSchema, kind: GraphQLObjectType, selected: SelectionSetNode) -> list[FieldNode]:
    """The fields that a selection set selects of an object type, with those of its inline fragments."""
    found: list[FieldNode] = []
    for selection in selected.selections:
        if isinstance(selection, FieldNode):
            found.append(selection)
        elif isinstance(selection, InlineFragmentNode) and selection.type_condition:
            condition = schema.type_map[selection.type_condition.name.value]
            if condition is kind or condition in kind.interfaces:
                found.extend(_fields(schema, kind, selection.selection_set))
        else:
            raise TypeError("Operations use inline fragments with a type.")
    return found


def _is_problem(kind: GraphQLObjectType) -> bool:
    return any(isinstance(one, GraphQLInterfaceType) and one.name == "Problem" for one in kind.interfaces)


def _key(selected: SelectionSetNode) -> str:
    return print_ast(selected)


def _name_of(operation: OperationDefinitionNode) -> str:
    if operation.name is None:
        raise TypeError("Every operation has a name.")
    return operation.name.value


def _block(fields: list[str], indent: str = "") -> str:
    if not fields:
        return "{}"
    return "{\n" + "".join(f"{indent}  {field};\n" for field in fields) + indent + "}"


def main() -> None:
    OUTPUT.write_text(generate(), "utf-8")


if __name__ == "__main__":
    main()
