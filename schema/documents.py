"""Documents: what clients ask, parsed and validated once for all the times that they ask the same.

What is kept is bounded by its size, so that a flood of documents that are each asked once takes time and no memory. A
refused document is not kept, so it pushes out nobody's.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from graphql import ASTValidationRule, DocumentNode, GraphQLError, GraphQLSchema, parse, specified_rules
from strawberry.schema.schema import validate_document

from schema.plans import Plans
from schema.rules import MOST_TOKENS, refuse_heavy
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
    """A document that may be run. `plans` is None where a directive may change from request to request what it selects."""

    node: DocumentNode
    plans: Plans | None


class Documents:
    """The documents of a schema by their text, the ones asked last."""

    def __init__(self, schema: GraphQLSchema, rules: Iterable[type[ASTValidationRule]]) -> None:
        self._schema, self._rules = schema, (*specified_rules, *rules)
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._size = 0

    def of(self, text: str) -> Document:
        """The document of a text. Raises DocumentRefused."""
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
            refuse_heavy(node)
        except GraphQLError as error:
            raise DocumentRefused([error]) from None
        errors = validate_document(self._schema, node, self._rules)
        if errors:
            raise DocumentRefused(errors)
        _unchain(node)
        return Document(node, None if "@" in text else {})

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
