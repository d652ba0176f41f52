"""What an operation may cost, judged before any resolver runs.

The rules are made once per process: Strawberry's own limiter extensions make a new rule class per request, and then its
validation cache never hits.
"""

from typing import Any, Final

from graphql import (
    ASTValidationRule,
    DirectiveNode,
    GraphQLError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    ValidationContext,
    ValidationRule,
)
from strawberry.extensions.max_aliases import create_validator as alias_rule
from strawberry.extensions.query_depth_limiter import create_validator as depth_rule

MOST_TOKENS: Final = 1500
_DEEPEST: Final = 12
_MOST_ALIASES: Final = 15
_MOST_DIRECTIVES: Final = 20


class OneOperation(ValidationRule):
    """One operation a request: a second one in the document is a way around every other limit."""

    def __init__(self, context: ValidationContext) -> None:
        operations = [node for node in context.document.definitions if isinstance(node, OperationDefinitionNode)]
        if len(operations) > 1:
            context.report_error(GraphQLError(f"{len(operations)} operations found. Allowed: 1"))
        super().__init__(context)


class FewDirectives(ValidationRule):
    """Thousands of directives on one field cost much and say nothing (H121)."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._found = 0

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        self._found += 1
        if self._found == _MOST_DIRECTIVES + 1:
            self.report_error(GraphQLError(f"More than {_MOST_DIRECTIVES} directives found.", node))


_ALWAYS: Final = [depth_rule(_DEEPEST, None, None), alias_rule(_MOST_ALIASES), OneOperation, FewDirectives]
_IN_PRODUCTION: Final = [*_ALWAYS, NoSchemaIntrospectionCustomRule]


def rules(*, development: bool) -> list[type[ASTValidationRule]]:
    """The process's one list of extra rules; introspection is for development only (H116)."""
    return _ALWAYS if development else _IN_PRODUCTION
