"""The schema, and how an operation is run: limits first, caches for what repeats, unexpected errors masked."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import cache
from inspect import isawaitable
from typing import Any, Final

import strawberry
import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    OperationType,
    execute,
    get_operation_ast,
    subscribe,
)

from schema.context import Context
from schema.limits.document_cache import DocumentRefused, Documents
from schema.limits.document_size import MOST_ERRORS, rules
from schema.limits.selection_plans import Executor
from schema.limits.token_scopes import guard
from schema.mutations import Mutation
from schema.problems import HANDLERS
from schema.queries import Query
from schema.subscriptions import Subscription
from schema.types import AccessToken, Community, Identity, Invitation, Member, Membership, Session
from service.database.deadlines import TookTooLong
from service.web.middleware import INTERNAL_ERROR

log = structlog.get_logger()

MASKED: Final = INTERNAL_ERROR


class Schema(strawberry.Schema):
    """Strawberry's types, run by graphql-core itself: limits and caches are those of `schema.limits.document_cache`."""

    documents: Documents
    development: bool

    async def run(
        self, query: str, *, variables: dict[str, Any] | None, operation_name: str | None, context: Context
    ) -> ExecutionResult:
        """The result of a query or a mutation."""
        try:
            document = await self.documents.of(query, variables or {}, context.count_memberships)
        except DocumentRefused as refused:
            return ExecutionResult(None, refused.errors)
        result = execute(
            self._schema, document.node, context_value=context, variable_values=variables,
            operation_name=operation_name, executor_class=Executor, plans=document.plans,
            max_coercion_errors=MOST_ERRORS, hide_suggestions=not self.development,
        )  # fmt: skip
        return self._told(await result if isawaitable(result) else result)

    async def follow(
        self, query: str, *, variables: dict[str, Any] | None, operation_name: str | None, context: Context
    ) -> AsyncGenerator[ExecutionResult, None]:
        """The results of a subscription, one after the other."""
        try:
            node = (await self.documents.of(query, variables or {}, context.count_memberships)).node
        except DocumentRefused as refused:
            yield ExecutionResult(None, refused.errors)
            return
        if not _is_subscription(node, operation_name):
            yield ExecutionResult(None, [GraphQLError("Only subscriptions are served here.")])
            return
        begun = subscribe(
            self._schema, node, context_value=context, variable_values=variables, operation_name=operation_name,
            executor_class=Executor, max_coercion_errors=MOST_ERRORS, hide_suggestions=not self.development,
        )  # fmt: skip
        results: Any = await begun if isawaitable(begun) else begun
        if isinstance(results, ExecutionResult):
            yield self._told(results)
            return
        async with aclosing(results):
            async for result in _with_its_failure(results):
                yield self._told(result)

    def _told(self, result: ExecutionResult) -> ExecutionResult:
        """The result, with its unexpected errors in the log; no query text, for arguments carry tokens and addresses."""
        for error in result.errors or ():
            if isinstance(error.original_error, TookTooLong):
                log.warning("graphql.timeout", path=_path(error))
            if not is_expected(error):
                log.error("graphql.failed", path=_path(error), exc_info=error.original_error)
        return result


async def _with_its_failure(results: AsyncIterator[ExecutionResult]) -> AsyncIterator[ExecutionResult]:
    """The results; where the subscription itself fails, which graphql-core lets through, an error is the last."""
    try:
        async for result in results:
            yield result
    except Exception as failure:  # noqa: BLE001 -- whatever it is, it is logged and masked like that of any resolver
        yield ExecutionResult(None, [GraphQLError(str(failure), original_error=failure)])


def _is_subscription(node: DocumentNode, operation_name: str | None) -> bool:
    operation = get_operation_ast(node, operation_name)
    return operation is not None and operation.operation is OperationType.SUBSCRIPTION


def is_expected(error: GraphQLError) -> bool:
    """Whether an error is the client's to read: a fault of its document or its variables, which GraphQL words itself,
    a bad argument in our own words, or a statement that took too long.
    """
    cause = error.original_error
    if cause is None or isinstance(cause, GraphQLError | TookTooLong):
        return True
    # A number of thousands of digits, which Python will not read, in the document itself.
    return isinstance(cause, ValueError) and error.path is None and bool(error.nodes)


_SUGGESTION: Final = re.compile(r" Did you mean .*$", re.DOTALL)
_ECHO: Final = re.compile(r"(?:, found: |( cannot represent [^:]*): |, but encountered error ).*$", re.DOTALL)
_INSTANT: Final = "cannot represent a DateTime."


def masked(error: GraphQLError, *, development: bool) -> dict[str, Any]:
    """The error as the client sees it: details of unexpected ones stay in the log (H117), and names of the schema that
    were not asked for in development (H116).
    """
    if isinstance(error.original_error, TookTooLong):
        error = GraphQLError(error.message, error.nodes, path=error.path, extensions={"code": "TIMEOUT"})
    if not is_expected(error):
        error = GraphQLError(MASKED, error.nodes, path=error.path, extensions={"code": "INTERNAL"})
    message = _without_echo(error.message)
    return dict(error.formatted) | {"message": message if development else _SUGGESTION.sub("", message)}


def _without_echo(message: str) -> str:
    """GraphQL repeats the value that it cannot read, and that may be a link's token."""
    told = _ECHO.sub(lambda found: f"{found[1] or ''}.", message)
    return f"{told} One like 2026-01-31T12:00:00Z was expected." if told.endswith(_INSTANT) else told


def _path(error: GraphQLError) -> str:
    return ".".join(str(part) for part in error.path or ())


@cache
def build(*, development: bool) -> Schema:
    """The schema of the process. Introspection and suggestions exist in development only."""
    schema = Schema(
        Query,
        Mutation,
        Subscription,
        exception_handlers=HANDLERS,
        types=[AccessToken, Community, Identity, Invitation, Member, Membership, Session],
    )
    guard(schema)
    schema.development = development
    schema.documents = Documents(
        schema._schema,  # noqa: SLF001 -- the executor's own
        rules(development=development),
        development=development,
    )
    return schema
