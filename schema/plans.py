"""Plans: what a selection asks of plain attributes is worked out once, and not for each row of a list again.

graphql-core resolves each field of each row by itself: its definition, its arguments, its path, its kind of type. For a
selection that asks for nothing but attributes a plan reads them and gives the same answer in a tenth of the time.
Whatever is not plain (a resolver, an interface, a null where none may be) is left to graphql-core.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

import orjson
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLField,
    GraphQLID,
    GraphQLLeafType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLString,
    OperationType,
    get_named_type,
    is_enum_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

Complete = Callable[[Any], Any]
Plans = dict[tuple[int, ...], Complete | None]
"""Plans by a type and the nodes of its selection; they live with the document that has the nodes."""

MOST_BYTES: Final = 8 * 1024 * 1024
"""The most bytes of a response, or of one event of a subscription; the bytes are counted while values are completed."""

_DEFINITION: Final = "strawberry-definition"
_AROUND: Final = 8  # the punctuation around a name and its value, and a short value such as null
_ERROR: Final = 200  # an error's path and locations


class NotPlain(Exception):
    """Raised when a plan meets a value that only graphql-core can judge; it then completes the whole value instead."""


class ResponseTooLarge(GraphQLError):
    """Raised as soon as the completed values take more than MOST_BYTES of JSON; the whole response is then this error."""

    def __init__(self, *, mutation: bool) -> None:
        stands = " Mutations of this request that had run took effect, and later ones did not run." if mutation else ""
        super().__init__(
            f"The response has more than {MOST_BYTES // 1024**2} MB ({MOST_BYTES} bytes). Ask for shorter pages (first)"
            f" or fewer fields.{stands}",
            extensions={"code": "RESPONSE_TOO_LARGE"},
        )


class Executor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's, which completes by a plan whatever it has one for, and counts the bytes of what it completes.

    `plans` outlive the request where every request with the document selects the same, so where it has no directives.
    """

    def __init__(self, *arguments: Any, plans: Plans | None = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.is_awaitable = optimized_is_awaitable  # type: ignore[assignment]
        self._plans: Plans = {} if plans is None else plans
        self._bytes = 0

    def build_per_event_executor(self, payload: Any) -> "Executor":
        """Each event of a subscription is a response of its own."""
        executor: Executor = super().build_per_event_executor(payload)  # type: ignore[assignment]
        executor._bytes = 0
        return executor

    def build_response(self, data: Any) -> Any:
        """Half a response is none: over the bound there is one error, and no data."""
        if self._bytes <= MOST_BYTES:
            return super().build_response(data)
        self.run_async_work_finished_hook()
        return ExecutionResult(None, [self._too_large()])

    def handle_field_error(self, raw_error: Exception, return_type: Any, details: Any, path: Any) -> None:
        """Over the bound no field is nulled and passed over: the error ends the whole operation."""
        if self._bytes > MOST_BYTES:
            raise self._too_large()
        self._count(_ERROR + len(str(raw_error)))
        super().handle_field_error(raw_error, return_type, details, path)

    def execute_fields(self, kind: Any, source: Any, path: Any, fields: Any, position: Any) -> Any:
        self._count(sum(len(name) + _AROUND for name in fields))
        return super().execute_fields(kind, source, path, fields, position)

    def complete_leaf_value(self, kind: Any, found: Any) -> Any:  # type: ignore[override]
        completed = super().complete_leaf_value(kind, found)
        self._count(_length(completed))
        return completed

    def _count(self, number: int) -> None:
        """Raises ResponseTooLarge once all that was counted is over the bound."""
        self._bytes += number
        if self._bytes > MOST_BYTES:
            raise self._too_large()

    def _too_large(self) -> ResponseTooLarge:
        return ResponseTooLarge(mutation=self.operation.operation is OperationType.MUTATION)

    def complete_list_value(self, kind: Any, details: Any, info: Any, path: Any, found: Any, position: Any) -> Any:
        done, completed = self._by_plan(kind, details, found)
        return completed if done else super().complete_list_value(kind, details, info, path, found, position)

    def complete_object_value(self, kind: Any, details: Any, info: Any, path: Any, found: Any, position: Any) -> Any:
        done, completed = self._by_plan(kind, details, found)
        return completed if done else super().complete_object_value(kind, details, info, path, found, position)

    def _by_plan(self, kind: GraphQLOutputType, details: Any, found: Any) -> tuple[bool, Any]:
        """Whether a plan did it, and what it gave. Attributes have no effects, so reading them twice does no harm."""
        plan, counted = self._plan(kind, details), self._bytes
        if plan is None:
            return False, None
        try:
            completed = plan(found)
            return True, [self._counted(row) for row in completed] if is_list_type(kind) else self._counted(completed)
        except ResponseTooLarge:
            raise
        except Exception:  # noqa: BLE001 -- graphql-core meets it again, and says where in the answer it stands
            self._bytes = counted
            return False, None

    def _counted(self, completed: Any) -> Any:
        """Encoding a row once more, to know its length, takes a hundredth of what completing it does."""
        self._count(len(orjson.dumps(completed)) + 1)
        return completed

    def _plan(self, kind: GraphQLOutputType, details: Any) -> Complete | None:
        key = (id(kind), *(id(each.node) for each in details))
        if key not in self._plans:
            self._plans[key] = self._rows(kind, details) if is_list_type(kind) else self._made(kind, details)
        return self._plans[key]

    def _rows(self, kind: GraphQLList[Any], details: Any) -> Complete | None:
        """How the rows of a list are completed one after the other, so that their bytes are counted meanwhile."""
        row = self._nullable(kind.of_type, details)
        return None if row is None else _each(row)

    def _made(self, kind: GraphQLOutputType, details: Any) -> Complete | None:
        """How a value of the type is completed that is not null; None where it takes more than attributes."""
        if is_leaf_type(kind):
            return _leaf(kind)
        if is_list_type(kind):
            # A list of objects inside an object is completed by itself, so that its rows are counted one by one.
            item = self._nullable(kind.of_type, details) if is_leaf_type(get_named_type(kind)) else None
            return None if item is None else _list(item)
        return self._object(kind, details) if is_object_type(kind) else None

    def _nullable(self, kind: GraphQLOutputType, details: Any) -> Complete | None:
        inner = self._made(kind.of_type if is_non_null_type(kind) else kind, details)
        if inner is None:
            return None
        return _never_null(inner) if is_non_null_type(kind) else _maybe_null(inner)

    def _object(self, kind: GraphQLObjectType, details: Any) -> Complete | None:
        read: list[tuple[str, str, Complete]] = []
        for name, field_details in self.collect_subfields(kind, details).grouped_field_set.items():
            field = self._field(kind, name, field_details)
            if field is None:
                return None
            read.append(field)
        return _object(kind.extensions[_DEFINITION].origin, read)

    def _field(self, kind: GraphQLObjectType, name: str, details: Any) -> tuple[str, str, Complete] | None:
        """A field's name in the answer, its attribute, and how the attribute is completed."""
        asked = details[0].node.name.value
        if asked == "__typename":
            return name, "__class__", lambda _: kind.name
        field = kind.fields[asked]
        complete = self._nullable(field.type, details) if is_attribute(field) else None
        return None if complete is None else (name, field.extensions[_DEFINITION].python_name, complete)


def is_attribute(field: GraphQLField) -> bool:
    """Whether a field is read from its object and nothing else; a resolver that somebody wrapped, to guard it, is not."""
    definition = field.extensions.get(_DEFINITION)
    if not isinstance(definition, StrawberryField) or not definition.is_basic_field or field.args:
        return False
    return getattr(field.resolve, "_is_default", False) and not hasattr(field.resolve, "__wrapped__")


def _length(completed: Any) -> int:
    """The bytes of a leaf in JSON, beside those that `_AROUND` counts."""
    return len(orjson.dumps(completed)) if type(completed) is str else _AROUND


def _leaf(kind: GraphQLLeafType) -> Complete:
    coerce = kind.coerce_output_value

    def complete(value: Any) -> Any:
        coerced = coerce(value)
        if coerced is None:
            raise NotPlain
        return coerced

    if kind in (GraphQLString, GraphQLID):
        return lambda value: value if type(value) is str else complete(value)
    return cache(complete) if is_enum_type(kind) else complete


def _list(item: Complete) -> Complete:
    def complete(values: Any) -> list[Any]:
        if type(values) is not list:
            raise NotPlain
        return [item(value) for value in values]

    return complete


def _each(row: Complete) -> Complete:
    def complete(values: Any) -> Iterator[Any]:
        if type(values) is not list:
            raise NotPlain
        return map(row, values)

    return complete


def _object(origin: type[Any], read: list[tuple[str, str, Complete]]) -> Complete:
    def complete(source: Any) -> dict[str, Any]:
        if type(source) is not origin:
            raise NotPlain
        return {name: completed(getattr(source, attribute)) for name, attribute, completed in read}

    return complete


def _never_null(inner: Complete) -> Complete:
    def complete(value: Any) -> Any:
        if value is None:
            raise NotPlain
        return inner(value)

    return complete


def _maybe_null(inner: Complete) -> Complete:
    return lambda value: None if value is None else inner(value)
