"""The models of the settings: fields with defaults, meanings and rules, and checks across fields."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from service.settings import rules
from service.settings.origins import host_of, is_loopback, normal_origin, site_of
from service.settings.rules import AN_ORIGIN, Contradiction, RateLimit, setting_error

PREFIX: Final = "GUESTLIST_"
MOST_PROVIDERS: Final = 50  # each login page and preview lists them all
_PROVIDER_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")

Origin = Annotated[str, AfterValidator(rules.served_origin)]
Limit = Annotated[RateLimit | None, BeforeValidator(rules.rate_limit_of)]
VerifiedValue = StrictBool | StrictInt | StrictStr
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(rules.proxy)]


def _setting(default: Any, meaning: str, expected: str = "", **constraints: Any) -> Any:
    """A field with its meaning for the reference, and the expected value for findings."""
    return Field(default, description=meaning, json_schema_extra={"expected": expected or meaning}, **constraints)


class ProviderSettings(BaseModel):
    """An OpenID Provider, as the operator configured it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Annotated[Literal["google", "microsoft", "oidc"], BeforeValidator(rules.lower)] = _setting(
        "oidc", "which evidence rule applies; google and microsoft know their issuer", "google, microsoft or oidc"
    )
    issuer: Annotated[str, AfterValidator(rules.issuer)] | None = _setting(
        None, "its issuer URL; required for oidc, and replaces the known one of google and microsoft", "an https URL"
    )
    client_id: Annotated[str, AfterValidator(rules.nonempty)] = _setting(
        ..., "the client id of this service at the provider", "the client id that the provider gave"
    )
    client_secret: Annotated[SecretStr, AfterValidator(rules.nonempty_secret)] | None = _setting(
        None,
        "the client secret of this service at the provider; must be given, except with private_key_jwt",
        "the client secret that the provider gave",
    )
    client_auth: Annotated[Literal["auto", "basic", "post", "private_key_jwt"], BeforeValidator(rules.lower)] = (
        _setting(
            "auto",
            "the method that the client is registered for: basic, post, private_key_jwt, or auto: the first one that the provider"
            " lists, and basic if it lists none",
            "auto, basic, post or private_key_jwt",
        )
    )
    client_key_file: Annotated[Path, AfterValidator(rules.private_key_file)] | None = _setting(
        None,
        "private_key_jwt: the file with the private key, as PEM or JWK; the provider has its public key",
        "a file with a private key (RSA, EC P-256 to P-521, or Ed25519) as PEM or JWK",
    )
    discovery_url: Annotated[str, AfterValidator(rules.discovery_url)] | None = _setting(
        None,
        "the address of its discovery document, where it is not ISSUER/.well-known/openid-configuration",
        "an https URL (http only on loopback)",
    )
    audiences: Annotated[tuple[str, ...], BeforeValidator(rules.parse_list)] = _setting(
        (),
        "further audiences that its ID tokens may have besides CLIENT_ID; a token whose azp is CLIENT_ID may have any",
        "audiences",
    )
    label: Annotated[str, AfterValidator(rules.label)] | None = _setting(
        None, "the label of its button", "1 to 60 characters for a button"
    )
    scopes: Annotated[tuple[str, ...], BeforeValidator(rules.scope_list), AfterValidator(rules.scopes)] = _setting(
        ("openid", "email", "profile"), "the requested scopes", "scopes that include openid and email"
    )
    position: int = _setting(100, "orders the buttons, the lowest first", "a whole number")
    endpoint_hosts: Annotated[
        tuple[Annotated[str, AfterValidator(rules.endpoint_host)], ...], BeforeValidator(rules.parse_list)
    ] = _setting((), "further hosts for its endpoints, besides the issuer's own (those of google are known)", "hosts")
    prompt: Annotated[Literal["auto", "login", "select_account", "none"], BeforeValidator(rules.lower)] = _setting(
        "auto",
        "the prompt that asks for a login although the person has a session there: login, select_account, none (for"
        " providers that fail on prompt), or auto: select_account for google and microsoft, login for oidc",
        "auto, login, select_account or none",
    )
    email_domains: Annotated[
        tuple[str, ...] | None, BeforeValidator(rules.parse_list), AfterValidator(rules.email_domains)
    ] = _setting(
        None,
        'oidc: the domains whose addresses this issuer may verify; ["*"] for any; must be given',
        'domains, or ["*"]',
    )
    trust_addresses: bool = _setting(
        default=False,
        meaning="oidc with listed domains: accept its addresses without email_verified",
        expected="true or false",
    )
    email_verified_values: Annotated[tuple[VerifiedValue, ...], BeforeValidator(rules.verified_values)] = _setting(
        (True,),
        'oidc: JSON values of email_verified that count, for providers that send "true" or "1"',
        'a JSON list such as [true, "true"]',
    )
    tenants: Annotated[tuple[str, ...] | None, BeforeValidator(rules.parse_list), AfterValidator(rules.tenants)] = (
        _setting(None, "microsoft: tenant ids, `consumers`, or `*`; must be given", "tenant ids, consumers, or *")
    )
    trust_tenant_addresses: bool = _setting(
        default=False,
        meaning="microsoft with exactly one tenant: accept its addresses without xms_edov",
        expected="true or false",
    )
    third_party_addresses: Annotated[Literal["confirm", "refuse", "trust"], BeforeValidator(rules.lower)] = _setting(
        "confirm",
        "google and personal Microsoft accounts on addresses that the provider is not authoritative for:"
        " confirm (a code to the invited mailbox), refuse, or trust",
        "confirm, refuse or trust",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        found = [*self._other_kinds(), *self._missing(), *self._untrustworthy()]
        if found:
            raise setting_error(found)
        return self

    def _other_kinds(self) -> Iterator[Contradiction]:
        for field, kinds in _KINDS.items():
            if field in self.model_fields_set and self.kind not in kinds:
                yield field, f"is given, but KIND is {self.kind}", f"it only where KIND is {' or '.join(kinds)}"

    def _missing(self) -> Iterator[Contradiction]:
        if self.kind == "oidc" and self.issuer is None:
            yield "issuer", "is missing", "the issuer URL of this provider"
        if self.kind != "microsoft" and "{" in (self.issuer or ""):
            yield "issuer", "has a placeholder", "the exact issuer: only microsoft's may have a placeholder"
        if self.kind == "oidc" and not self.email_domains:
            yield "email_domains", "is missing", 'the domains whose addresses this issuer may verify, or ["*"] for any'
        if self.client_auth == "private_key_jwt" and self.client_key_file is None:
            yield (
                "client_key_file",
                "is missing",
                "the file with the private key, because CLIENT_AUTH is private_key_jwt",
            )
        if self.client_secret is None and self.client_key_file is None:
            yield "client_secret", "is missing", "the client secret that the provider gave"
        if self.client_secret is None and self.client_auth in {"basic", "post"}:
            yield "client_secret", "is missing", f"the client secret, because CLIENT_AUTH is {self.client_auth}"
        if self.kind == "microsoft" and not self.tenants:
            yield "tenants", "is missing", "tenant ids (GUIDs), consumers, or *"

    def _untrustworthy(self) -> Iterator[Contradiction]:
        if self.trust_addresses and self.email_domains == ("*",):
            yield "trust_addresses", "is true while EMAIL_DOMAINS is *", "it only with listed domains"
        if self.kind == "microsoft" and self.trust_tenant_addresses and not self._has_one_tenant():
            yield (
                "trust_tenant_addresses",
                "is true without exactly one tenant",
                "TENANTS with one tenant id and nothing else",
            )

    def _has_one_tenant(self) -> bool:
        return self.tenants is not None and len(self.tenants) == 1 and rules.is_tenant_id(self.tenants[0])


_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "email_domains": ("oidc",),
    "trust_addresses": ("oidc",),
    "email_verified_values": ("oidc",),
    "tenants": ("microsoft",),
    "trust_tenant_addresses": ("microsoft",),
    "third_party_addresses": ("google", "microsoft"),
}


def _limit(count: int, days: float, meaning: str) -> Any:
    return _setting(RateLimit(count, timedelta(days=days)), meaning, "count/period, such as 300/1d, or off")


class RateLimits(BaseModel):
    """The limits. None switches a limit off."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    invites_per_inviter: Limit = _limit(300, 1, "invitations by one inviter")
    invites_per_community: Limit = _limit(1000, 1, "invitations of one community")
    resends_per_invitation: Limit = _limit(5, 1, "resends of one invitation, and never more than one a minute")
    mails_per_recipient: Limit = _limit(
        5, 1 / 24, "mails of one kind from one community to one mailbox; a mail above the limit waits"
    )
    mails_per_recipient_overall: Limit = _limit(
        30, 1 / 24, "mails of one kind from all communities to one mailbox; a mail above the limit waits"
    )
    fresh_links_per_invitation: Limit = _limit(
        12, 1, "fresh links of one invitation; only sent while no link of it is valid"
    )
    attempts_per_client: Limit = _limit(
        60, 1 / 1440, "attempts from one client address (IPv6 by /64), signed in or not"
    )


class Settings(BaseSettings):
    """All settings. The constructor reads neither the environment nor files; `load_settings` does.

    Raises pydantic's ValidationError, whose text contains no input.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    public_url: Origin = _setting(
        "http://localhost:8000", "the URL of the service for browsers; http only on loopback", AN_ORIGIN
    )
    database_url: Annotated[SecretStr, AfterValidator(rules.database_url)] = _setting(
        SecretStr("sqlite://guestlist.db"),
        "or postgres://user:pass@host/db",
        "sqlite://FILE or postgres://user:pass@host/db",
    )
    mail_url: Annotated[SecretStr, AfterValidator(rules.mail_url)] | None = _setting(
        None,
        "ses://REGION[?configuration_set=NAME], smtp://user:pass@host:port (STARTTLS by default, smtps:// for TLS),"
        " mailbox: (development only, in memory only)",
        "ses://REGION, smtp://user:pass@host:port or smtps://user:pass@host:port",
    )
    mail_from: Annotated[str, AfterValidator(rules.sender)] | None = _setting(
        None, "the sender", "an address, such as Guestlist <no-reply@example.com>"
    )
    mails_per_second: float | None = _setting(
        None,
        "mails per second of all workers together; none: the rate that Amazon SES allows, and no limit for SMTP",
        "a number from 0.1 to 10000",
        ge=0.1,
        le=10_000,
    )
    confirm_url: str = _setting(
        "{public_url}/confirm#{token}",
        "the link in the mail, for your own SPA: {token} once, after #, on the public URL or an allowed origin",
        "a URL with {token} once, after #, such as https://app.example.com/join#{token}",
        validate_default=True,
    )
    link_minutes: int = _setting(
        10, "minutes that a link is valid, 5 to 15", "a whole number from 5 to 15", ge=5, le=15
    )
    invitation_days: int = _setting(
        7, "days that an invitation is valid, 1 to 30", "a whole number from 1 to 30", ge=1, le=30
    )
    allowed_origins: Annotated[tuple[Origin, ...], BeforeValidator(rules.parse_list)] = _setting(
        (), "origins of SPAs, of the same site as PUBLIC_URL (any port, and any loopback origin)", "a list of origins"
    )
    community_creation: Annotated[Literal["operators", "members"], BeforeValidator(rules.lower)] = _setting(
        "operators", "or members: whether createCommunity is open", "operators or members"
    )
    providers: dict[str, ProviderSettings] = _setting({}, "the OpenID Providers, by name", "tables by name")
    ses_topic_arns: Annotated[
        tuple[Annotated[str, AfterValidator(rules.topic)], ...], BeforeValidator(rules.parse_list)
    ] = _setting((), "the SNS topics whose notifications are accepted", "a list of ARNs")
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(rules.parse_list)] = _setting(
        (), "the proxies whose X-Forwarded-For counts", "a list of addresses and networks"
    )
    session_idle_hours: int = _setting(
        12, "hours without use after which a session ends, 1 to 720", "a whole number from 1 to 720", ge=1, le=720
    )
    session_days: int = _setting(
        14, "days after which a session ends, 1 to 90", "a whole number from 1 to 90", ge=1, le=90
    )
    retention_days: int = _setting(
        90,
        "days after which the addresses and messages of closed invitations are erased;"
        " expired flows, links, sessions and counters are deleted at once",
        "a whole number from 1 to 3650",
        ge=1,
        le=3650,
    )
    statement_seconds: float = _setting(
        5.0,
        "seconds after which a database statement of a request is cancelled, 0.1 to 60",
        "a number from 0.1 to 60",
        ge=0.1,
        le=60,
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(rules.lower)] = _setting(
        "info", "debug, info, warning or error", "debug, info, warning or error"
    )
    log_format: Annotated[Literal["json", "console"], BeforeValidator(rules.lower)] = _setting(
        "json", "json or console", "json or console"
    )
    rate_limits: RateLimits = _setting(RateLimits(), "the limits, by name", "limits by name")
    development: bool = Field(default=False, exclude=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- this one and the last three are the signature of pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @field_validator("confirm_url")
    @classmethod
    def _expand(cls, template: str, info: ValidationInfo) -> str:
        return template.strip().replace("{public_url}", info.data.get("public_url", "{public_url}"))

    @field_validator("providers")
    @classmethod
    def _check_names(cls, providers: dict[str, ProviderSettings]) -> dict[str, ProviderSettings]:
        bad = [
            (name, "is no provider name", "1 to 32 of a-z, 0-9 and -")
            for name in providers
            if not _PROVIDER_NAME.fullmatch(name)
        ]
        if len(providers) > MOST_PROVIDERS:
            bad.append(("", f"has {len(providers)} entries", f"at most {MOST_PROVIDERS}"))
        if bad:
            raise setting_error(bad)
        return providers

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        found = [*self._other_sites(), *self._unusable_links(), *self._missing_sender()]
        if found:
            raise setting_error(found)
        return self

    def _other_sites(self) -> Iterator[Contradiction]:
        for origin in self.allowed_origins:
            if site_of(origin) != site_of(self.public_url) and not is_loopback(host_of(origin)):
                yield (
                    "allowed_origins",
                    f"lists {origin}, of another site than {self.public_url}: browsers would not store the cookies",
                    f"origins of the same site, {'://'.join(site_of(self.public_url))}",
                )

    def _unusable_links(self) -> Iterator[Contradiction]:
        before, _, fragment = self.confirm_url.partition("#")
        expected = "{token} once, after #, and no other braces: the part before # reaches servers and their logs"
        if fragment.count("{token}") != 1 or re.search(r"[{}]", before + fragment.replace("{token}", "")):
            yield "confirm_url", "has no {token} in its fragment, or more than that", expected
        elif rules.UNPRINTABLE.search(self.confirm_url) or " " in self.confirm_url:
            yield "confirm_url", "has a space or an unprintable character", expected
        elif _origin_before_path(before) not in self.page_origins:
            yield "confirm_url", "is on another origin", "the origin of PUBLIC_URL or one of ALLOWED_ORIGINS"

    def _missing_sender(self) -> Iterator[Contradiction]:
        if self.mail_url is None:
            return
        if self.mail_url.get_secret_value().startswith("mailbox:"):  # the scheme is in lower case by now
            if not self.development:
                yield "mail_url", "is mailbox:, which exists only in guestlist dev", "ses://, smtp:// or smtps://"
        elif self.mail_from is None:
            yield (
                "mail_from",
                "is missing while MAIL_URL is set",
                "an address, such as Guestlist <no-reply@example.com>",
            )

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.get_secret_value().startswith("sqlite:")

    @property
    def reports_deliveries(self) -> bool:
        """Whether the mail service reports deliveries, as Amazon SES does through its topics. SMTP reports none."""
        is_smtp = self.mail_url is not None and self.mail_url.get_secret_value().startswith(("smtp:", "smtps:"))
        return bool(self.ses_topic_arns) and not is_smtp

    @property
    def page_origins(self) -> frozenset[str]:
        """The origins of our own pages and of the allowed SPAs. Requests with cookies from other origins are rejected."""
        return frozenset({self.public_url, *self.allowed_origins})

    @property
    def secure_cookies(self) -> bool:
        """False only for an http loopback PUBLIC_URL, where some browsers refuse Secure cookies."""
        return self.public_url.startswith("https://")

    @property
    def session_cookie(self) -> str:
        return self._cookie("guestlist_session")

    @property
    def flow_cookie(self) -> str:
        return self._cookie("guestlist_flow")

    def _cookie(self, name: str) -> str:
        return f"__Host-{name}" if self.secure_cookies else name

    @property
    def provider_list(self) -> tuple[tuple[str, ProviderSettings], ...]:
        """Names and providers in the operator's order: by POSITION, then in the order of the file."""
        return tuple(sorted(self.providers.items(), key=lambda item: item[1].position))


def _origin_before_path(url: str) -> str | None:
    scheme, _, rest = url.partition("://")
    return normal_origin(f"{scheme}://{re.split(r'[/?]', rest, maxsplit=1)[0]}")
