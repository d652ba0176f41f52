"""Caches parsed and validated documents by their text.

A limit on the size of the cache bounds its memory under a flood of different documents. The cache keeps valid documents
only, so that invalid ones evict nothing.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from schema.limits.cost import CostCounter, Variables, refuse_costly
from schema.limits.document_size import MOST_ERRORS, MOST_TOKENS, check_size, refuse_many_values
from schema.limits.selection_plans import Plans
from service import metrics

_MOST_CHARACTERS: Final = 300_000  # of all cached documents; parsed, a character takes about 120 bytes
_OVERHEAD: Final = 100  # of each document, in characters


class DocumentRefused(Exception):
    """Raised for a document that cannot be parsed, exceeds a limit or breaks a rule. `errors` name the causes."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__()
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Document:
    """A valid document.

    `plans` is None for a document with directives, because they make its selections depend on variables. `varies` is true
    when the cost exceeds a limit in some requests only: each request is then checked with its variables and the number of
    the caller's communities.
    """

    node: DocumentNode
    operation: OperationDefinitionNode
    plans: Plans | None
    varies: bool


class Documents:
    """The least recently used cache of a schema's documents."""

    def __init__(self, schema: GraphQLSchema, rules: Iterable[type[ASTValidationRule]], *, development: bool) -> None:
        self._schema, self._development = schema, development
        self._rules = (*specified_rules, *rules, MaybeNullValidationRule, OneOfInputValidationRule)
        self._cache: OrderedDict[str, Document] = OrderedDict()
        self._size = 0

    async def get(self, text: str, variables: Variables, memberships: Callable[[], Awaitable[int]]) -> Document:
        """The document of a text, within the limits for these variables. Raises DocumentRefused.

        Awaits `memberships`, the number of the caller's communities, only when the result depends on it.
        """
        try:
            refuse_many_values(variables)
            document = self.parse(text)
            if document.varies:
                await self._refuse_costly(document, variables, memberships)
        except GraphQLError as error:
            raise DocumentRefused([error]) from None
        return document

    async def _refuse_costly(
        self, document: Document, variables: Variables, memberships: Callable[[], Awaitable[int]]
    ) -> None:
        counter = CostCounter(self._schema, document.node, variables)
        try:
            refuse_costly(counter.operation(document.operation), document.operation)
        except GraphQLError:
            if not counter.needs_memberships:
                raise
            counter = CostCounter(self._schema, document.node, variables, await memberships())
            refuse_costly(counter.operation(document.operation), document.operation)

    def parse(self, text: str) -> Document:
        """The document of a text, within the limits for some variables. `get` checks those of a request. Raises DocumentRefused."""
        document = self._cache.get(text)
        if document is None:
            metrics.documents.labels("new").inc()
            return self._add(text, self._validate(text))
        metrics.documents.labels("kept").inc()
        self._cache.move_to_end(text)
        return document

    def _validate(self, text: str) -> Document:
        try:
            node = parse(text, max_tokens=MOST_TOKENS)
            operation = check_size(node)
            self._refuse_invalid(node)
            varies = self._varies(node, operation)
        except GraphQLError as error:
            raise DocumentRefused([error]) from None
        _unlink_tokens(node)
        return Document(node, operation, None if "@" in text else {}, varies)

    def _refuse_invalid(self, node: DocumentNode) -> None:
        """Stops after a few errors, and computes suggestions in development only: each takes time (H202)."""
        hide = not self._development
        errors = validate(self._schema, node, self._rules, max_errors=MOST_ERRORS, hide_suggestions=hide)
        if errors:
            raise DocumentRefused(errors)

    def _varies(self, node: DocumentNode, operation: OperationDefinitionNode) -> bool:
        """Whether the operation costs too much in some requests only. Raises GraphQLError if it does in all."""
        counter = CostCounter(self._schema, node)
        try:
            refuse_costly(counter.operation(operation), operation)
        except GraphQLError:
            if not counter.varies:
                raise
            return True
        return False

    def _add(self, text: str, document: Document) -> Document:
        if len(text) <= _MOST_CHARACTERS // 10:
            self._cache[text] = document
            self._size += len(text) + _OVERHEAD
        while self._size > _MOST_CHARACTERS:
            evicted, _ = self._cache.popitem(last=False)
            self._size -= len(evicted) + _OVERHEAD
        return document


def _unlink_tokens(node: DocumentNode) -> None:
    """Unlinks the document's tokens, a doubly linked list. Reference counting then frees the memory of an evicted
    document immediately, before the next cyclic garbage collection.
    """
    token = node.loc.start_token if node.loc else None
    while token is not None:
        following = token.next
        token.prev = token.next = None
        token = following
