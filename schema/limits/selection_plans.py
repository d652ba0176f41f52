"""Plans: what a selection asks of plain attributes is worked out once, and not for each row of a list again.

graphql-core resolves each field of each row by itself: its definition, its arguments, its path, its kind of type. For a
selection that asks for nothing but attributes a plan reads them and gives the same answer in a tenth of the time.
Whatever is not plain (a resolver, an interface, a null where none may be) is left to graphql-core.
"""

import asyncio
from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Any, Final

import orjson
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLField,
    GraphQLID,
    GraphQLLeafType,
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
from graphql.pyutils import gather_with_cancel
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

from service.database.shares import Shares

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
        self._awaitables: list[Any] | None = self.context_value.awaitables
        self.is_awaitable = self._note_awaitable  # type: ignore[assignment]
        self._plans: Plans = {} if plans is None else plans
        self.shares: Shares = self.context_value.shares
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

    def _note_awaitable(self, value: Any) -> bool:
        """Says whether a value is awaitable, and keeps it for the case that the operation is cancelled (`Context.close`)."""
        if not optimized_is_awaitable(value):
            return False
        if self._awaitables is not None:
            self._awaitables.append(value)
        return True

    def complete_list_value(self, kind: Any, details: Any, info: Any, path: Any, found: Any, position: Any) -> Any:
        """Completes a list, in slices when it takes long: nobody's answer holds the event loop for more than a moment."""
        if type(found) is not list:
            return super().complete_list_value(kind, details, info, path, found, position)
        rest = _List(self, kind, details, info, path, found, position)
        if rest.go_on(self.shares.until()):
            return rest.completed
        # From now on, and not only once it runs: those whose lists are complete may ask loaders before it does.
        self.context_value.load.begin_slicing()
        return rest.in_slices()

    def complete_object_value(self, kind: Any, details: Any, info: Any, path: Any, found: Any, position: Any) -> Any:
        done, completed = self._by_plan(kind, details, found)
        return completed if done else super().complete_object_value(kind, details, info, path, found, position)

    def _by_plan(self, kind: GraphQLOutputType, details: Any, found: Any) -> tuple[bool, Any]:
        """Whether a plan did it, and what it gave. Attributes have no effects, so reading them twice does no harm."""
        plan = self._plan(kind, details)
        if plan is None:
            return False, None
        try:
            completed = plan(found)
        except Exception:  # noqa: BLE001 -- graphql-core meets it again, and says where in the answer it stands
            return False, None
        self.count_row(completed)
        return True, completed

    def plan_of_items(self, kind: GraphQLOutputType, details: Any) -> Complete | None:
        """How each item of a list of this type is completed; None where it takes more than attributes."""
        key = (id(kind), *(id(each.node) for each in details))
        if key not in self._plans:
            self._plans[key] = self._nullable(kind.of_type, details)  # type: ignore[union-attr]  # a list's
        return self._plans[key]

    def count_row(self, completed: Any) -> int:
        """Counts the bytes of a completed row, and returns them. Encoding it once more to know its length takes a
        hundredth of the time that completing it takes.
        """
        length = len(orjson.dumps(completed)) + 1
        self._count(length)
        return length

    def uncount(self, number: int) -> None:
        """Takes bytes back that are completed again by graphql-core."""
        self._bytes -= number

    def _plan(self, kind: GraphQLOutputType, details: Any) -> Complete | None:
        key = (id(kind), *(id(each.node) for each in details))
        if key not in self._plans:
            self._plans[key] = self._made(kind, details)
        return self._plans[key]

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


class _List:
    """A list on its way into the answer: by the plan of its items, and otherwise by graphql-core, item by item."""

    def __init__(
        self, executor: Executor, kind: Any, details: Any, info: Any, path: Any, found: Any, position: Any
    ) -> None:
        self._executor, self._asked = executor, (kind.of_type, details, info)
        self._found, self._path, self._position = found, path, position
        self._plan, self._at = executor.plan_of_items(kind, details), 0
        self._awaited: list[int] = []
        self._counted = 0
        self.completed: list[Any] = []

    def go_on(self, until: float) -> bool:
        """Completes items until an instant; whether all are complete and none is awaited."""
        while self._at < len(self._found):
            if perf_counter() > until:
                return False
            self._complete_one()
        return not self._awaited

    def _complete_one(self) -> None:
        try:
            self._complete(self._found[self._at])
            self._at += 1
        except NotPlain:
            self._plan, self._at = None, 0
            self._executor.uncount(self._counted)
            self.completed.clear()
        except Exception:
            # Awaitables of other items may fail too, and somebody must look at that.
            self._executor.settle_in_background([self.completed[index] for index in self._awaited])
            raise

    def _complete(self, item: Any) -> None:
        if self._plan is not None:
            row = self._by_plan(self._plan, item)
            self._counted += self._executor.count_row(row)
            self.completed.append(row)
            return
        path = self._path.add_key(self._at, None)
        if self._executor.complete_list_item_value(item, self.completed, *self._asked, path, self._position):
            self._awaited.append(self._at)
            self._executor.is_awaitable(self.completed[-1])

    @staticmethod
    def _by_plan(plan: Complete, item: Any) -> Any:
        """Attributes have no effects, so that graphql-core may read again what a plan could not complete; it then says
        where in the answer the fault stands.
        """
        try:
            return plan(item)
        except Exception:  # noqa: BLE001 -- whatever it is, graphql-core meets it again
            raise NotPlain from None

    async def in_slices(self) -> list[Any]:
        """Completes the rest a slice at a time. What items await runs meanwhile, and ends with the list.

        The list is among those that wait for their next slice already (`schema.loaders`).
        """
        load, tasks = self._executor.context_value.load, dict(self._begun())
        try:
            while self._at < len(self._found):
                async with self._executor.shares.slice() as until:
                    self.go_on(until)
                    tasks |= self._begun()
        except BaseException:
            for task in tasks.values():
                task.cancel()
            raise
        finally:
            load.end_slicing()
        for index, value in zip(tasks, await gather_with_cancel(*tasks.values()), strict=True):
            self.completed[index] = value
        return self.completed

    def _begun(self) -> dict[int, "asyncio.Future[Any]"]:
        """Begins what the items completed last await; by their place in the list."""
        begun = {index: asyncio.ensure_future(self.completed[index]) for index in self._awaited}
        self._awaited.clear()
        return begun


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
