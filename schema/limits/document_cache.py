"""Documents: what clients ask, parsed and validated once for all the times that they ask the same.

What is kept is bounded by its size, so that a flood of documents that are each asked once takes time and no memory. A
refused document is not kept, so it pushes out nobody's.
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

from schema.limits.cost import Scales, Variables, refuse_costly
from schema.limits.document_size import MOST_ERRORS, MOST_TOKENS, check_cost, refuse_many_values
from schema.limits.selection_plans import Plans
from service import metrics

_MOST_KEPT: Final = 300_000  # characters of text; parsed, each takes about 120 bytes
_ITSELF: Final = 100  # what a document takes beside its text, in characters


class DocumentRefused(Exception):
    """Raised for a document that cannot be parsed, costs too much or breaks a rule; `errors` say why."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__()
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Document:
    """A document that may be run. `plans` is None where a directive may change from request to request what it selects.

    `varies`: some requests would make its operation cost too much, so each one is weighed with its own variables and with
    the number of its caller's communities.
    """

    node: DocumentNode
    operation: OperationDefinitionNode
    plans: Plans | None
    varies: bool


class Documents:
    """The documents of a schema by their text, the ones asked last."""

    def __init__(self, schema: GraphQLSchema, rules: Iterable[type[ASTValidationRule]], *, development: bool) -> None:
        self._schema, self._development = schema, development
        self._rules = (*specified_rules, *rules, MaybeNullValidationRule, OneOfInputValidationRule)
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._size = 0

    async def of(self, text: str, variables: Variables, memberships: Callable[[], Awaitable[int]]) -> Document:
        """The document of a text, for a request with these variables. Raises DocumentRefused.

        `memberships` counts the communities of the caller; it is awaited only where that number decides.
        """
        try:
            refuse_many_values(variables)
            document = self.parsed(text)
            if document.varies:
                await self._refuse_costly(document, variables, memberships)
        except GraphQLError as error:
            raise DocumentRefused([error]) from None
        return document

    async def _refuse_costly(
        self, document: Document, variables: Variables, memberships: Callable[[], Awaitable[int]]
    ) -> None:
        scales = Scales(self._schema, document.node, variables)
        try:
            refuse_costly(scales.operation(document.operation), document.operation)
        except GraphQLError:
            if not scales.asks_memberships:
                raise
            scales = Scales(self._schema, document.node, variables, await memberships())
            refuse_costly(scales.operation(document.operation), document.operation)

    def parsed(self, text: str) -> Document:
        """The document of a text, valid for some request; `of` weighs it for one. Raises DocumentRefused."""
        found = self._kept.get(text)
        if found is None:
            metrics.documents.labels("new").inc()
            return self._keep(text, self._checked(text))
        metrics.documents.labels("kept").inc()
        self._kept.move_to_end(text)
        return found

    def _checked(self, text: str) -> Document:
        try:
            node = parse(text, max_tokens=MOST_TOKENS)
            operation = check_cost(node)
            self._refuse_invalid(node)
            varies = self._varies(node, operation)
        except GraphQLError as error:
            raise DocumentRefused([error]) from None
        _unchain(node)
        return Document(node, operation, None if "@" in text else {}, varies)

    def _refuse_invalid(self, node: DocumentNode) -> None:
        """Stops at a few errors, and computes suggestions in development only: both take time for each fault (H202)."""
        hide = not self._development
        errors = validate(self._schema, node, self._rules, max_errors=MOST_ERRORS, hide_suggestions=hide)
        if errors:
            raise DocumentRefused(errors)

    def _varies(self, node: DocumentNode, operation: OperationDefinitionNode) -> bool:
        """Whether the operation is too costly in some requests. Raises GraphQLError where it is in every request."""
        scales = Scales(self._schema, node)
        try:
            refuse_costly(scales.operation(operation), operation)
        except GraphQLError:
            if not scales.varies:
                raise
            return True
        return False

    def _keep(self, text: str, document: Document) -> Document:
        if len(text) <= _MOST_KEPT // 10:
            self._kept[text] = document
            self._size += len(text) + _ITSELF
        while self._size > _MOST_KEPT:
            gone, _ = self._kept.popitem(last=False)
            self._size -= len(gone) + _ITSELF
        return document


def _unchain(node: DocumentNode) -> None:
    """The tokens of a document are chained to and fro, and are done with. Without the chain a document that is kept no
    more is gone at once; with it, it waits for the collector, which comes rarely.
    """
    token = node.loc.start_token if node.loc else None
    while token is not None:
        following = token.next
        token.prev = token.next = None
        token = following
