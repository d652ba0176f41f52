"""The rules of a community for its invitations. The operator's settings are the defaults."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from service import audit
from service.accounts.caller import Caller
from service.addresses import AddressInvalid, canonical, domain_of
from service.communities.access import CommunityAccess, community_access
from service.database import execute, select, transaction
from service.errors import InvalidInput, NotPermitted
from service.languages import sentence
from service.settings import Settings
from service.text import language_tag

MOST_DOMAINS: Final = 100
_ADMINS_ONLY: Final = sentence("NOT_PERMITTED", "Only admins and owners change the rules for invitations.")


class Unset:
    """The type of a field that the change omits."""


UNSET: Final = Unset()


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """The fields to change. UNSET keeps a field. None removes the seat limit or the language, and is rejected elsewhere."""

    link_minutes: int | Unset | None = UNSET
    invitation_days: int | Unset | None = UNSET
    allowed_email_domains: list[str] | Unset | None = UNSET
    seat_limit: int | Unset | None = UNSET
    locale: str | Unset | None = UNSET


@dataclass(frozen=True, slots=True)
class _Number:
    """A number of the rules: its column, its name in the API, and its bounds."""

    column: str
    field: str
    lowest: int
    highest: int


_LINK_MINUTES: Final = _Number("link_minutes", "linkMinutes", 5, 15)
_INVITATION_DAYS: Final = _Number("invitation_days", "invitationDays", 1, 30)
_SEAT_LIMIT: Final = _Number("seat_limit", "seatLimit", 1, 1_000_000)


@dataclass(slots=True)
class _Update:
    """The columns with their new values, and the details of the audit event. A removed value is empty there."""

    columns: dict[str, Any] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)


async def update_policy(
    community_id: str, change: PolicyChange, *, caller: Caller | None, now: datetime, settings: Settings
) -> CommunityAccess:
    """Changes the rules for invitations.

    Members keep their memberships, and pending invitations keep their deadlines. Acceptances check domains and seats
    under the rules of their moment.
    """
    access = await community_access(caller, community_id, settings)
    if not access.is_admin:
        raise NotPermitted(_ADMINS_ONLY)
    update = _validated_update(change)
    async with transaction():
        await select("SELECT id FROM communities WHERE id = $1 FOR NO KEY UPDATE", community_id)
        access = await community_access(caller, community_id, settings)
        if not access.is_admin:
            raise NotPermitted(_ADMINS_ONLY)
        if update.columns:
            await _write(access, update, now)
        return await community_access(caller, community_id, settings)


async def _write(access: CommunityAccess, update: _Update, now: datetime) -> None:
    columns = ", ".join(f"{name} = ${number}" for number, name in enumerate(update.columns, start=2))
    sql = f"UPDATE communities SET {columns} WHERE id = $1"  # noqa: S608 -- our column names
    await execute(sql, access.community_id, *update.columns.values())
    event = audit.Event("policy.changed", access.community_id, access.member_id, None, update.details)
    await audit.record(now, event)


def _validated_update(change: PolicyChange) -> _Update:
    """Raises InvalidInput for the first field that is out of its bounds."""
    update = _Update()
    _set_number(update, _LINK_MINUTES, change.link_minutes)
    _set_number(update, _INVITATION_DAYS, change.invitation_days)
    if not isinstance(change.allowed_email_domains, Unset):
        domains = _domains(change.allowed_email_domains)
        update.columns["allowed_email_domains"] = orjson.dumps(domains).decode()
        update.details["allowedEmailDomains"] = ", ".join(domains)
    if change.seat_limit is None:
        update.columns["seat_limit"] = None
        update.details["seatLimit"] = ""
    else:
        _set_number(update, _SEAT_LIMIT, change.seat_limit)
    if not isinstance(change.locale, Unset):
        update.columns["locale"] = language_tag(change.locale)
        update.details["locale"] = change.locale or ""
    return update


def _set_number(update: _Update, number: _Number, value: int | Unset | None) -> None:
    if isinstance(value, Unset):
        return
    if value is None:
        raise InvalidInput(number.field, sentence(
            "VALUE_MISSING", "%(field)s is null; a number between %(lowest)s and %(highest)s was expected.",
            field=number.field, lowest=number.lowest, highest=number.highest,
        ))  # fmt: skip
    if not number.lowest <= value <= number.highest:
        raise InvalidInput.out_of_range(number.field, value, number.lowest, number.highest)
    update.columns[number.column] = value
    update.details[number.field] = str(value)


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
    """Returns the domain in the canonical form of addresses."""
    try:
        return domain_of(canonical(f"someone@{value.strip().removeprefix('@')}"))
    except AddressInvalid:
        raise InvalidInput(
            "allowedEmailDomains",
            sentence(
                "DOMAIN_INVALID", "“%(domain)s” is no domain; one like example.com was expected.", domain=value[:100]
            ),
        ) from None
