"""The doctor: checks everything that the service needs, and suggests a remedy for each finding."""

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx2

from service import database
from service.clock import Clock
from service.database import drift
from service.mail import outbox
from service.mail.errors import MailSettingsInvalid
from service.mail.senders import open_sender
from service.openid import RelyingParty
from service.openid.errors import ProviderUnavailable
from service.settings import Settings

_SKEW: Final = timedelta(seconds=30)  # half of the leeway of ID tokens
_WAITING: Final = timedelta(minutes=10)
_PATIENCE: Final = 5.0

Check = Callable[[Settings, Clock], Coroutine[Any, Any, list[str]]]


async def settings_findings(settings: Settings, _: Clock) -> list[str]:
    """Findings about valid settings that are incomplete."""
    found = []
    if settings.mail_url is None:
        found.append("No mail can leave: set GUESTLIST_MAIL_URL to ses://REGION or smtp://user:pass@host:port.")
    elif settings.mail_url.get_secret_value().startswith("ses:") and not settings.ses_topic_arns:
        found.append(
            "Deliveries and bounces stay unknown: list the SNS topic of the configuration set in GUESTLIST_SES_TOPIC_ARNS."
        )
    if not settings.providers:
        found.append("Nobody can sign in: set up an OpenID Provider, GUESTLIST_PROVIDERS__NAME__... .")
    if not settings.secure_cookies:
        found.append(
            f"GUESTLIST_PUBLIC_URL is {settings.public_url}, which only this machine reaches: set it to the https"
            " address that browsers use."
        )
    return found


async def database_findings(settings: Settings, clock: Clock) -> list[str]:
    """Findings about the database: its availability, migrations, time, and waiting mails."""
    url = settings.database_url.get_secret_value()
    try:
        await database.connect(url)
    except database.DatabaseUnavailable as error:
        return [f"{error} Check GUESTLIST_DATABASE_URL, and that the database runs."]
    try:
        await database.refuse_pending(url)
        return [*await drift.schema_drift(url), *await _database_clock(clock), *await _waiting_mails(clock())]
    except database.MigrationsPending as error:
        return [str(error)]
    finally:
        await database.disconnect()


async def _database_clock(clock: Clock) -> list[str]:
    if not database.is_postgres():
        return []
    there: datetime = (await database.select("SELECT clock_timestamp() AS now_at"))[0]["now_at"]
    return _skew(there - clock(), "the database's")


async def _waiting_mails(now: datetime) -> list[str]:
    mails = (await outbox.backlog(now - _WAITING)).mails
    if not mails:
        return []
    waiting = "1 mail waits" if mails == 1 else f"{mails} mails wait"
    return [f"{waiting} for more than ten minutes: is a `guestlist worker` running?"]


def _skew(skew: timedelta, whose: str) -> list[str]:
    if abs(skew) <= _SKEW:
        return []
    seconds = round(abs(skew).total_seconds())
    side = "behind" if skew > timedelta(0) else "ahead of"
    return [
        f"The clock of this machine is {seconds} seconds {side} {whose}: set it by NTP, or sign-ins and links fail."
    ]


async def mail_findings(settings: Settings, clock: Clock) -> list[str]:
    """Findings of the mail service about its configuration."""
    if settings.mail_url is None:
        return []
    try:
        sender = open_sender(settings, clock=clock)
    except MailSettingsInvalid as error:
        return [str(error)]
    try:
        return await sender.findings()
    finally:
        await sender.close()


async def provider_findings(settings: Settings, clock: Clock) -> list[str]:
    """Findings about each provider's metadata and keys."""
    relying_party = RelyingParty(settings)
    found: list[str] = []
    try:
        for provider in relying_party.providers:
            try:
                await relying_party.check(provider.id, now=clock())
            except ProviderUnavailable as error:
                what = error.detail or error.reason
                found.append(f"The provider {provider.id} cannot be used: {what} Check its ISSUER and the network.")
    finally:
        await relying_party.close()
    return found


async def clock_findings(settings: Settings, clock: Clock) -> list[str]:
    """Findings about the clock, compared with the Date of the first provider that responds. ID tokens depend on it."""
    for provider_id, provider in settings.provider_list:
        if provider.issuer is None:
            continue
        try:
            async with httpx2.AsyncClient(timeout=_PATIENCE) as client:
                answer = await client.head(provider.issuer)
            return _skew(parsedate_to_datetime(answer.headers["date"]) - clock(), f"that of the provider {provider_id}")
        except (httpx2.HTTPError, KeyError, ValueError):
            continue
    return []


CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("settings", settings_findings),
    ("database", database_findings),
    ("mail", mail_findings),
    ("providers", provider_findings),
    ("clock", clock_findings),
)


async def examine(settings: Settings, clock: Clock) -> dict[str, list[str]]:
    """The findings of every check, by its name, in order. A failing check is a finding."""
    findings: dict[str, list[str]] = {}
    for name, check in CHECKS:
        try:
            findings[name] = await check(settings, clock)
        except Exception as error:  # noqa: BLE001 -- every exception is a finding
            findings[name] = [f"This could not be checked: {type(error).__name__}."]
    return findings
