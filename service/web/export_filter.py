"""The filter of an export: the parameters of its URL have the names and the values of the API's filters."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

from starlette.datastructures import QueryParams

from service.audit_log.log import AuditFilter
from service.errors import InvalidInput
from service.exports import Export
from service.invitation_status import Status
from service.invitations.search import InvitationFilter
from service.languages import sentence
from service.models import Delivery, Role

Values = Mapping[str, Sequence[str]]
Value = TypeVar("Value", bound=StrEnum)

_LISTS: Final = frozenset({"statuses", "deliveries", "roles", "kinds"})
_PARAMETERS: Final[Mapping[Export, tuple[str, ...]]] = {
    Export.INVITATIONS: ("statuses", "deliveries", "roles", "emailContains", "createdAfter", "createdBefore"),
    Export.AUDIT: ("kinds", "actorId", "after", "before"),
}


def filter_of(subject: Export, query: QueryParams) -> InvitationFilter | AuditFilter:
    """Returns the filter of an export. A list is a parameter that appears several times.

    Raises InvalidInput for an unknown parameter and for a wrong value: the file would have other rows than were asked for.
    """
    values = {name: query.getlist(name) for name in query}
    for name, given in values.items():
        if name not in _PARAMETERS[subject]:
            names = ", ".join(_PARAMETERS[subject])
            raise InvalidInput(name, sentence(
                "VALUE_NOT_EXPECTED", "The export has no such parameter; one of these was expected: %(names)s.", names=names
            ))  # fmt: skip
        if len(given) > 1 and name not in _LISTS:
            raise InvalidInput(
                name,
                sentence("VALUE_NOT_EXPECTED", "%(field)s appears more than once; one value was expected.", field=name),
            )
    return _invitation_filter(values) if subject is Export.INVITATIONS else _audit_filter(values)


def _invitation_filter(values: Values) -> InvitationFilter:
    return InvitationFilter(
        _members(values, "statuses", Status),
        _members(values, "deliveries", Delivery),
        _members(values, "roles", Role),
        _one(values, "emailContains"),
        _instant(values, "createdAfter"),
        _instant(values, "createdBefore"),
    )


def _audit_filter(values: Values) -> AuditFilter:
    kinds = frozenset(values["kinds"]) if "kinds" in values else None
    return AuditFilter(kinds, _one(values, "actorId"), _instant(values, "after"), _instant(values, "before"))


def _one(values: Values, name: str) -> str | None:
    return values[name][0] if name in values else None


def _members(values: Values, name: str, known: type[Value]) -> frozenset[Value] | None:
    """Returns the members of an enumeration that a parameter lists. A missing parameter lists none."""
    if name not in values:
        return None
    try:
        return frozenset(known(value) for value in values[name])
    except ValueError:
        raise InvalidInput(name, sentence(
            "VALUE_NOT_EXPECTED", "%(field)s has an unknown value; one of these was expected: %(names)s.",
            field=name, names=", ".join(known),
        )) from None  # fmt: skip


def _instant(values: Values, name: str) -> datetime | None:
    text = _one(values, name)
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(name, sentence(
            "INSTANT_INVALID", "%(field)s is no instant; an instant like 2026-01-31T12:00:00Z was expected.", field=name
        )) from None  # fmt: skip
