"""The schema and the execution of operations: checks limits, uses caches, masks unexpected errors."""

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
from service.database.deadlines import TOOK_TOO_LONG, TookTooLong
from service.languages import localized
from service.web.middleware import INTERNAL_ERROR

log = structlog.get_logger()


class Schema(strawberry.Schema):
    """Strawberry's types with graphql-core's execution, and the caches and limits of `schema.limits`."""

    documents: Documents
    development: bool

    async def run(
        self, query: str, *, variables: dict[str, Any] | None, operation_name: str | None, context: Context
    ) -> ExecutionResult:
        """Runs a query or a mutation."""
        try:
            document = await self.documents.get(query, variables or {}, context.count_memberships)
        except DocumentRefused as error:
            return ExecutionResult(None, error.errors)
        result = execute(
            self._schema, document.node, context_value=context, variable_values=variables,
            operation_name=operation_name, executor_class=Executor, plans=document.plans,
            max_coercion_errors=MOST_ERRORS, hide_suggestions=not self.development,
        )  # fmt: skip
        return self._log_errors(await result if isawaitable(result) else result)

    async def follow(
        self, query: str, *, variables: dict[str, Any] | None, operation_name: str | None, context: Context
    ) -> AsyncGenerator[ExecutionResult, None]:
        """Runs a subscription, and yields its results."""
        try:
            node = (await self.documents.get(query, variables or {}, context.count_memberships)).node
        except DocumentRefused as error:
            yield ExecutionResult(None, error.errors)
            return
        if not _is_subscription(node, operation_name):
            yield ExecutionResult(None, [GraphQLError("Only subscriptions are served here.")])
            return
        started = subscribe(
            self._schema, node, context_value=context, variable_values=variables, operation_name=operation_name,
            executor_class=Executor, max_coercion_errors=MOST_ERRORS, hide_suggestions=not self.development,
        )  # fmt: skip
        results: Any = await started if isawaitable(started) else started
        if isinstance(results, ExecutionResult):
            yield self._log_errors(results)
            return
        async with aclosing(results):
            async for result in _with_final_error(results):
                yield self._log_errors(result)

    def _log_errors(self, result: ExecutionResult) -> ExecutionResult:
        """Logs the unexpected errors of a result. Leaves out the document: its arguments may be tokens and addresses."""
        for error in result.errors or ():
            if isinstance(error.original_error, TookTooLong):
                log.warning("graphql.timeout", path=_path(error))
            if not is_expected(error):
                log.error("graphql.failed", path=_path(error), exc_info=error.original_error)
        return result


async def _with_final_error(results: AsyncIterator[ExecutionResult]) -> AsyncIterator[ExecutionResult]:
    """The results of a subscription. Converts an exception of its generator, which graphql-core raises, into a last result."""
    try:
        async for result in results:
            yield result
    except Exception as error:  # noqa: BLE001 -- it is logged and masked like an exception of a resolver
        yield ExecutionResult(None, [GraphQLError(str(error), original_error=error)])


def _is_subscription(node: DocumentNode, operation_name: str | None) -> bool:
    operation = get_operation_ast(node, operation_name)
    return operation is not None and operation.operation is OperationType.SUBSCRIPTION


def is_expected(error: GraphQLError) -> bool:
    """Whether the client may read an error: a fault of its document or variables, a BadArgument, or a timeout."""
    cause = error.original_error
    if cause is None or isinstance(cause, GraphQLError | TookTooLong):
        return True
    # A literal number with more digits than Python converts.
    return isinstance(cause, ValueError) and error.path is None and bool(error.nodes)


_SUGGESTION: Final = re.compile(r" Did you mean .*$", re.DOTALL)
_ECHO: Final = re.compile(r"(?:, found: |( cannot represent [^:]*): |, but encountered error ).*$", re.DOTALL)
_INSTANT: Final = "cannot represent a DateTime."


DOCUMENT_INVALID: Final = "GRAPHQL_PARSE_FAILED"
OPERATION_INVALID: Final = "GRAPHQL_VALIDATION_FAILED"


def format_error(error: GraphQLError, *, development: bool) -> dict[str, Any]:
    """Formats an error for the client. Hides details of unexpected errors (H117), and in production GraphQL's suggestions,
    which name fields of the schema (H116).
    """
    if isinstance(error.original_error, TookTooLong):
        error = GraphQLError(localized(TOOK_TOO_LONG), error.nodes, path=error.path, extensions={"code": "TIMEOUT"})
    if not is_expected(error):
        error = GraphQLError(localized(INTERNAL_ERROR), error.nodes, path=error.path, extensions={"code": "INTERNAL"})
    message = _without_echo(error.message)
    formatted = dict(error.formatted) | {"message": message if development else _SUGGESTION.sub("", message)}
    # Errors of GraphQL itself have the codes that clients know from other servers.
    code = DOCUMENT_INVALID if error.message.startswith("Syntax Error") else OPERATION_INVALID
    return formatted | {"extensions": {"code": code} | (error.extensions or {})}


def _without_echo(message: str) -> str:
    """Removes the rejected value from a message of GraphQL: it may be the token of a link."""
    redacted = _ECHO.sub(lambda match: f"{match[1] or ''}.", message)
    return f"{redacted} One like 2026-01-31T12:00:00Z was expected." if redacted.endswith(_INSTANT) else redacted


def _path(error: GraphQLError) -> str:
    return ".".join(str(part) for part in error.path or ())


@cache
def build(*, development: bool) -> Schema:
    """Builds the schema, once per process. Introspection and suggestions are available in development only."""
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
        schema._schema,  # noqa: SLF001 -- Strawberry has no public access to it
        rules(development=development),
        development=development,
    )
    return schema
