"""The rules of a community for its invitations; what it does not set is the operator's default."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from service import audit
from service.accounts.sessions import Caller
from service.addresses import AddressInvalid, canonical, domain_of
from service.communities.access import CommunityAccess, community_access
from service.database import execute, select, transaction
from service.errors import InvalidInput, NotPermitted
from service.languages import sentence
from service.settings import Settings
from service.text import language_tag

MOST_DOMAINS: Final = 100
_MOST_SEATS: Final = 1_000_000
_ADMINS_ONLY: Final = sentence("NOT_PERMITTED", "Only admins and owners change the rules for invitations.")


class Unchanged:
    """Stands for a field that was left out."""


UNCHANGED: Final = Unchanged()


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What to change: UNCHANGED leaves a field as it is, None removes seat limit and language and is refused elsewhere."""

    link_minutes: int | Unchanged | None = UNCHANGED
    invitation_days: int | Unchanged | None = UNCHANGED
    allowed_email_domains: list[str] | Unchanged | None = UNCHANGED
    seat_limit: int | Unchanged | None = UNCHANGED
    locale: str | Unchanged | None = UNCHANGED


@dataclass(slots=True)
class _Checked:
    """Columns with their new values, and the details of the audit event: fields with their values, empty when removed."""

    columns: dict[str, Any] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)


async def update(
    community_id: str, change: PolicyChange, *, caller: Caller | None, now: datetime, settings: Settings
) -> CommunityAccess:
    """Changes the rules for invitations. What stands already stays: members keep their place, and pending invitations
    their deadline; domains and seats are looked at again when somebody accepts.
    """
    access = await community_access(caller, community_id, settings)
    if not access.is_admin:
        raise NotPermitted(_ADMINS_ONLY)
    checked = _checked(change)
    async with transaction():
        await select("SELECT id FROM communities WHERE id = $1 FOR NO KEY UPDATE", community_id)
        access = await community_access(caller, community_id, settings)
        if not access.is_admin:
            raise NotPermitted(_ADMINS_ONLY)
        if checked.columns:
            await _write(access, checked, now)
        return await community_access(caller, community_id, settings)


async def _write(access: CommunityAccess, checked: _Checked, now: datetime) -> None:
    columns = ", ".join(f"{name} = ${number}" for number, name in enumerate(checked.columns, start=2))
    sql = f"UPDATE communities SET {columns} WHERE id = $1"  # noqa: S608 -- our column names
    await execute(sql, access.community_id, *checked.columns.values())
    event = audit.Event("policy.changed", access.community_id, access.member_id, None, checked.details)
    await audit.record(now, event)


def _checked(change: PolicyChange) -> _Checked:
    """Raises InvalidInput for the first field that is out of its bounds."""
    checked = _Checked()
    _number(checked, "link_minutes", "linkMinutes", change.link_minutes, (5, 15))
    _number(checked, "invitation_days", "invitationDays", change.invitation_days, (1, 30))
    if not isinstance(change.allowed_email_domains, Unchanged):
        domains = _domains(change.allowed_email_domains)
        checked.columns["allowed_email_domains"] = orjson.dumps(domains).decode()
        checked.details["allowedEmailDomains"] = ", ".join(domains)
    if change.seat_limit is None:
        checked.columns["seat_limit"] = None
        checked.details["seatLimit"] = ""
    else:
        _number(checked, "seat_limit", "seatLimit", change.seat_limit, (1, _MOST_SEATS))
    if not isinstance(change.locale, Unchanged):
        checked.columns["locale"] = language_tag(change.locale)
        checked.details["locale"] = change.locale or ""
    return checked


def _number(checked: _Checked, column: str, name: str, value: int | Unchanged | None, bounds: tuple[int, int]) -> None:
    if isinstance(value, Unchanged):
        return
    lowest, highest = bounds
    if value is None:
        raise InvalidInput(name, sentence(
            "VALUE_MISSING", "%(field)s is null; a number between %(lowest)s and %(highest)s was expected.",
            field=name, lowest=lowest, highest=highest,
        ))  # fmt: skip
    if not lowest <= value <= highest:
        raise InvalidInput.out_of_range(name, value, lowest, highest)
    checked.columns[column] = value
    checked.details[name] = str(value)


def _domains(values: list[str] | None) -> list[str]:
    if values is None:
        raise InvalidInput(
            "allowedEmailDomains",
            sentence("VALUE_MISSING", "allowedEmailDomains is null; a list was expected, empty for any domain."),
        )
    if len(values) > MOST_DOMAINS:
        raise InvalidInput(
            "allowedEmailDomains",
            sentence(
                "LIST_LENGTH_INVALID",
                "%(field)s has %(entries)s entries; at most %(highest)s were expected.",
                field="allowedEmailDomains",
                entries=len(values),
                highest=MOST_DOMAINS,
            ),
        )
    return sorted({_domain(value) for value in values})


def _domain(value: str) -> str:
    """A domain in the form in which addresses are compared."""
    try:
        return domain_of(canonical(f"someone@{value.strip().removeprefix('@')}"))
    except AddressInvalid:
        raise InvalidInput(
            "allowedEmailDomains",
            sentence(
                "DOMAIN_INVALID", "“%(domain)s” is no domain; one like example.com was expected.", domain=value[:100]
            ),
        ) from None
