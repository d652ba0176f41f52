"""The schema, and how an operation is run: limits first, caches for what repeats, unexpected errors masked."""

import re
from collections.abc import Iterable
from typing import Any, Final

import strawberry
import structlog
from graphql import GraphQLError
from strawberry.extensions import AddValidationRules, MaxTokensLimiter, ParserCache, ValidationCache
from strawberry.types import ExecutionContext

from schema.grants import guard
from schema.mutations import Mutation
from schema.queries import Query
from schema.rules import MOST_TOKENS, rules
from schema.subscriptions import Subscription
from schema.types import AccessToken, Community, Identity, Invitation, Member, Membership, Session

log = structlog.get_logger()

MASKED: Final = "Something went wrong here. It was logged; try again in a moment."


class Schema(strawberry.Schema):
    """Strawberry's, which logs no query text: arguments carry tokens and addresses."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        del execution_context
        for error in errors:
            if not is_expected(error):
                log.error("graphql.failed", path=_path(error), exc_info=error.original_error)


def is_expected(error: GraphQLError) -> bool:
    """Whether an error is the client's to read: a fault of its document or its variables, which GraphQL words itself,
    or a bad argument in our own words.
    """
    return error.original_error is None or isinstance(error.original_error, GraphQLError)


_SUGGESTION: Final = re.compile(r" Did you mean .*$", re.DOTALL)
_ECHO: Final = re.compile(r"(, found| cannot represent [^:]*): .*$", re.DOTALL)
_INSTANT: Final = "cannot represent a DateTime."


def masked(error: GraphQLError, *, development: bool) -> dict[str, Any]:
    """The error as the client sees it: details of unexpected ones stay in the log (H117), and names of the schema that
    were not asked for in development (H116).
    """
    if not is_expected(error):
        error = GraphQLError(MASKED, error.nodes, path=error.path, extensions={"code": "INTERNAL"})
    message = _without_echo(error.message)
    return dict(error.formatted) | {"message": message if development else _SUGGESTION.sub("", message)}


def _without_echo(message: str) -> str:
    """GraphQL repeats the value that it cannot read, and that may be a link's token."""
    told = _ECHO.sub(lambda found: f"{found[1].removesuffix(', found')}.", message)
    return f"{told} One like 2026-01-31T12:00:00Z was expected." if told.endswith(_INSTANT) else told


def _path(error: GraphQLError) -> str:
    return ".".join(str(part) for part in error.path or ())


def build(*, development: bool) -> Schema:
    """The schema of the process. Introspection and suggestions exist in development only."""
    extra = rules(development=development)
    extensions: Iterable[Any] = (
        lambda: MaxTokensLimiter(max_token_count=MOST_TOKENS),
        lambda: AddValidationRules(extra),
        ParserCache,
        ValidationCache,
    )
    schema = Schema(
        Query,
        Mutation,
        Subscription,
        types=[AccessToken, Community, Identity, Invitation, Member, Membership, Session],
        extensions=list(extensions),
    )
    guard(schema)
    return schema
