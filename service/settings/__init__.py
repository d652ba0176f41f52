"""The settings: one frozen value, read once at start from the environment, a TOML file and the defaults.

Whatever is wrong is collected and named as the operator wrote it, with what was expected; no secret is echoed.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from service.settings import rules as rule
from service.settings.origins import host_of, is_loopback, normal_origin, site_of
from service.settings.rules import AN_ORIGIN, Contradiction, RateLimit, contradicted

PREFIX: Final = "GUESTLIST_"
CONFIG_FILE: Final = Path("guestlist.toml")

_SECRETS: Final = {"database_url", "mail_url", "client_secret"}
MOST_PROVIDERS: Final = 50  # each login page and preview lists them all
_PROVIDER_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
# What Kubernetes puts into every container beside a service named guestlist, and what only the tests read.
_FOREIGN: Final = re.compile(
    r"GUESTLIST_(TEST_.*|SERVICE_HOST|SERVICE_PORT(_.*)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)"
)

SettingPath = tuple[str, ...]
"""Where a value stands: ("providers", "google", "kind")."""


# -------------------------------------------------------------------------------------------------- what is refused


@dataclass(frozen=True, slots=True)
class Finding:
    """A wrong setting: its name as the operator wrote it, what is wrong, and what was expected."""

    name: str
    problem: str
    expected: str

    def __str__(self) -> str:
        return f"{self.name} {self.problem}; expected {self.expected}."


class SettingsInvalid(Exception):
    """Raised when settings are wrong; its text has one line for each of its findings, and no secret."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))


Origin = Annotated[str, AfterValidator(rule.served_origin)]
Limit = Annotated[RateLimit | None, BeforeValidator(rule.rate_limit_of)]
VerifiedValue = StrictBool | StrictInt | StrictStr
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(rule.proxy)]


def _setting(default: Any, meaning: str, expected: str = "", **rules: Any) -> Any:
    """A field with its meaning for the reference, and what a finding says was expected."""
    return Field(default, description=meaning, json_schema_extra={"expected": expected or meaning}, **rules)


# ------------------------------------------------------------------------------------------------------- the models


class ProviderSettings(BaseModel):
    """An OpenID Provider as the operator set it up; security.md's table says what each kind's settings decide."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Annotated[Literal["google", "microsoft", "oidc"], BeforeValidator(rule.lower)] = _setting(
        "oidc", "which evidence rule applies; google and microsoft know their issuer", "google, microsoft or oidc"
    )
    issuer: Annotated[str, AfterValidator(rule.issuer)] | None = _setting(
        None, "its issuer URL; oidc needs it, and it replaces the one that google and microsoft know", "an https URL"
    )
    client_id: Annotated[str, AfterValidator(rule.given)] = _setting(
        ..., "how this service is registered there", "the client id that the provider gave"
    )
    client_secret: Annotated[SecretStr, AfterValidator(rule.given_secret)] = _setting(
        ..., "the secret of that registration", "the client secret that the provider gave"
    )
    label: Annotated[str, AfterValidator(rule.label)] | None = _setting(
        None, "the words on its button", "1 to 60 characters for a button"
    )
    scopes: Annotated[tuple[str, ...], BeforeValidator(rule.scope_list), AfterValidator(rule.scopes)] = _setting(
        ("openid", "email", "profile"), "what is asked of it", "scopes, openid and email among them"
    )
    position: int = _setting(100, "orders the buttons, the lowest first", "a whole number")
    endpoint_hosts: Annotated[
        tuple[Annotated[str, AfterValidator(rule.endpoint_host)], ...], BeforeValidator(rule.listed)
    ] = _setting((), "hosts beside the issuer's own where its endpoints may live (google knows its own)", "hosts")
    email_domains: Annotated[
        tuple[str, ...] | None, BeforeValidator(rule.listed), AfterValidator(rule.email_domains)
    ] = _setting(
        None, 'oidc: the domains that this issuer may speak for; ["*"] for any; must be given', 'domains, or ["*"]'
    )
    trust_addresses: bool = _setting(
        default=False,
        meaning="oidc with listed domains: believe its addresses without email_verified",
        expected="true or false",
    )
    email_verified_values: Annotated[tuple[VerifiedValue, ...], BeforeValidator(rule.verified_values)] = _setting(
        (True,),
        'oidc: JSON values of email_verified that count, for providers that send "true" or "1"',
        'a JSON list such as [true, "true"]',
    )
    tenants: Annotated[tuple[str, ...] | None, BeforeValidator(rule.listed), AfterValidator(rule.tenants)] = _setting(
        None, "microsoft: tenant ids, `consumers`, or `*`; must be given", "tenant ids, consumers, or *"
    )
    trust_tenant_addresses: bool = _setting(
        default=False,
        meaning="microsoft with exactly one tenant: believe its addresses without xms_edov",
        expected="true or false",
    )
    third_party_addresses: Annotated[Literal["confirm", "refuse", "trust"], BeforeValidator(rule.lower)] = _setting(
        "confirm",
        "google and personal Microsoft accounts on addresses that the provider is not authoritative for:"
        " confirm (a code to the invited mailbox), refuse, or trust",
        "confirm, refuse or trust",
    )

    @model_validator(mode="after")
    def _is_of_one_piece(self) -> Self:
        found = [*self._foreign(), *self._incomplete(), *self._too_trusting()]
        if found:
            raise contradicted(found)
        return self

    def _foreign(self) -> Iterator[Contradiction]:
        for field, kinds in _KINDS.items():
            if field in self.model_fields_set and self.kind not in kinds:
                yield field, f"is given, but KIND is {self.kind}", f"it only where KIND is {' or '.join(kinds)}"

    def _incomplete(self) -> Iterator[Contradiction]:
        if self.kind == "oidc" and self.issuer is None:
            yield "issuer", "is missing", "the issuer URL of this provider"
        if self.kind != "microsoft" and "{" in (self.issuer or ""):
            yield "issuer", "has a placeholder", "the very issuer: only microsoft's stands for many tenants"
        if self.kind == "oidc" and not self.email_domains:
            yield "email_domains", "is missing", 'the domains that this issuer may speak for, or ["*"] for any'
        if self.kind == "microsoft" and not self.tenants:
            yield "tenants", "is missing", "tenant ids (GUIDs), consumers, or *"

    def _too_trusting(self) -> Iterator[Contradiction]:
        if self.trust_addresses and self.email_domains == ("*",):
            yield "trust_addresses", "is true while EMAIL_DOMAINS is *", "it only with listed domains"
        if self.kind == "microsoft" and self.trust_tenant_addresses and not self._has_one_tenant():
            yield (
                "trust_tenant_addresses",
                "is true without exactly one tenant",
                "TENANTS with one tenant id and nothing else",
            )

    def _has_one_tenant(self) -> bool:
        return self.tenants is not None and len(self.tenants) == 1 and rule.is_tenant_id(self.tenants[0])


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
    """The limits; None switches one off."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    invites_per_inviter: Limit = _limit(300, 1, "invitations by one inviter")
    invites_per_community: Limit = _limit(1000, 1, "invitations of one community")
    resends_per_invitation: Limit = _limit(5, 1, "resends of one invitation, and never more than one a minute")
    mails_per_recipient: Limit = _limit(
        5, 1 / 24, "mails of one kind from one community to one mailbox; a mail over it waits"
    )
    mails_per_recipient_overall: Limit = _limit(
        30, 1 / 24, "mails of one kind from all communities to one mailbox; a mail over it waits"
    )
    fresh_links_per_invitation: Limit = _limit(
        12, 1, "fresh links of one invitation, one at a time: none is sent while a link of it is live"
    )
    attempts_per_client: Limit = _limit(
        60, 1 / 1440, "attempts from one client address (IPv6 by /64), signed in or not"
    )


class Settings(BaseSettings):
    """All settings. Constructing it reads no environment and no file: `load_settings` does.

    Raises pydantic's ValidationError, whose text shows no input.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    public_url: Origin = _setting(
        "http://localhost:8000", "where browsers reach the service; http only on loopback", AN_ORIGIN
    )
    database_url: Annotated[SecretStr, AfterValidator(rule.database_url)] = _setting(
        SecretStr("sqlite://guestlist.db"),
        "or postgres://user:pass@host/db",
        "sqlite://FILE or postgres://user:pass@host/db",
    )
    mail_url: Annotated[SecretStr, AfterValidator(rule.mail_url)] | None = _setting(
        None,
        "ses://REGION[?configuration_set=NAME], smtp://user:pass@host:port (STARTTLS by default, smtps:// for TLS),"
        " mailbox: (development only, in memory only)",
        "ses://REGION, smtp://user:pass@host:port or smtps://user:pass@host:port",
    )
    mail_from: Annotated[str, AfterValidator(rule.sender)] | None = _setting(
        None, "the sender", "an address, such as Guestlist <no-reply@example.com>"
    )
    mails_per_second: float | None = _setting(
        None,
        "how many mails all workers together send in a second; none: what Amazon SES allows, and no limit for SMTP",
        "a number from 0.1 to 10000",
        ge=0.1,
        le=10_000,
    )
    confirm_url: str = _setting(
        "{public_url}/confirm#{token}",
        "the link in the mail, for an SPA of one's own: {token} once, behind #, on the public URL or an allowed origin",
        "a URL with {token} once, behind #, such as https://app.example.com/join#{token}",
        validate_default=True,
    )
    link_minutes: int = _setting(10, "how long a link lives, 5 to 15", "a whole number from 5 to 15", ge=5, le=15)
    invitation_days: int = _setting(
        7, "how long an invitation lives, 1 to 30", "a whole number from 1 to 30", ge=1, le=30
    )
    allowed_origins: Annotated[tuple[Origin, ...], BeforeValidator(rule.listed)] = _setting(
        (), "origins of SPAs, of the same site as PUBLIC_URL (ports and loopback are free)", "a list of origins"
    )
    community_creation: Annotated[Literal["operators", "members"], BeforeValidator(rule.lower)] = _setting(
        "operators", "or members: whether createCommunity is open", "operators or members"
    )
    providers: dict[str, ProviderSettings] = _setting({}, "the OpenID Providers, by name", "tables by name")
    ses_topic_arns: Annotated[tuple[Annotated[str, AfterValidator(rule.topic)], ...], BeforeValidator(rule.listed)] = (
        _setting((), "the SNS topics whose notifications are believed", "a list of ARNs")
    )
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(rule.listed)] = _setting(
        (), "whose X-Forwarded-For counts", "a list of addresses and networks"
    )
    session_idle_hours: int = _setting(
        12, "a session ends after so many hours without use, 1 to 720", "a whole number from 1 to 720", ge=1, le=720
    )
    session_days: int = _setting(
        14, "a session ends after so many days, used or not, 1 to 90", "a whole number from 1 to 90", ge=1, le=90
    )
    retention_days: int = _setting(
        90,
        "closed invitations' addresses and messages are erased after this;"
        " flows, links, sessions and counters go as soon as they are over",
        "a whole number from 1 to 3650",
        ge=1,
        le=3650,
    )
    statement_seconds: float = _setting(
        5.0,
        "a database statement of a request is cancelled after so many seconds, 0.1 to 60",
        "a number from 0.1 to 60",
        ge=0.1,
        le=60,
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(rule.lower)] = _setting(
        "info", "debug, info, warning or error", "debug, info, warning or error"
    )
    log_format: Annotated[Literal["json", "console"], BeforeValidator(rule.lower)] = _setting(
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
    def _name_well(cls, providers: dict[str, ProviderSettings]) -> dict[str, ProviderSettings]:
        bad = [
            (name, "is no provider name", "1 to 32 of a-z, 0-9 and -")
            for name in providers
            if not _PROVIDER_NAME.fullmatch(name)
        ]
        if len(providers) > MOST_PROVIDERS:
            bad.append(("", f"has {len(providers)} entries", f"at most {MOST_PROVIDERS}"))
        if bad:
            raise contradicted(bad)
        return providers

    @model_validator(mode="after")
    def _is_of_one_piece(self) -> Self:
        found = [*self._other_sites(), *self._lost_links(), *self._unsendable()]
        if found:
            raise contradicted(found)
        return self

    def _other_sites(self) -> Iterator[Contradiction]:
        for origin in self.allowed_origins:
            if site_of(origin) != site_of(self.public_url) and not is_loopback(host_of(origin)):
                yield (
                    "allowed_origins",
                    f"lists {origin}, of another site than {self.public_url}: browsers would not store the cookies",
                    f"origins of the same site, {'://'.join(site_of(self.public_url))}",
                )

    def _lost_links(self) -> Iterator[Contradiction]:
        before, _, fragment = self.confirm_url.partition("#")
        expected = "{token} once, behind #, and no other braces: what stands before # reaches servers and their logs"
        if fragment.count("{token}") != 1 or re.search(r"[{}]", before + fragment.replace("{token}", "")):
            yield "confirm_url", "has no {token} in its fragment, or more than that", expected
        elif rule.UNPRINTABLE.search(self.confirm_url) or " " in self.confirm_url:
            yield "confirm_url", "has a space or an unprintable character", expected
        elif _origin_before_path(before) not in self.page_origins:
            yield "confirm_url", "is on another origin", "the origin of PUBLIC_URL or one of ALLOWED_ORIGINS"

    def _unsendable(self) -> Iterator[Contradiction]:
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
    def page_origins(self) -> frozenset[str]:
        """The origins of our own pages and of the allowed SPAs. Requests with cookies from other origins are rejected."""
        return frozenset({self.public_url, *self.allowed_origins})

    @property
    def secure_cookies(self) -> bool:
        """False only on an http loopback PUBLIC_URL, where no browser would take Secure cookies everywhere."""
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
        """Names and providers in the operator's order: by POSITION, then as they stand in the file."""
        return tuple(sorted(self.providers.items(), key=lambda item: item[1].position))


def _origin_before_path(url: str) -> str | None:
    scheme, _, rest = url.partition("://")
    return normal_origin(f"{scheme}://{re.split(r'[/?]', rest, maxsplit=1)[0]}")


# ------------------------------------------------------------------------------------------------------ the reading


class Environment(PydanticBaseSettingsSource):
    """GUESTLIST_ variables as a tree. An empty variable is one that was not set, as compose files need it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(Settings)
        self.environ = environ

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 -- pydantic's
        return self.environ.get(_written((field_name,), "environment")), field_name, False

    def __call__(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for name in sorted(self.environ):
            if name.startswith(PREFIX) and not _FOREIGN.fullmatch(name) and self.environ[name].strip():
                _plant(tree, _path_of(name), self.environ[name])
        return tree


def _path_of(variable: str) -> SettingPath:
    """Where a variable's value belongs; what belongs nowhere stands under its whole name, to be refused."""
    path = tuple(variable.removeprefix(PREFIX).lower().split("__"))
    if path[0] == "providers" and len(path) > 1:
        # Shells allow no hyphen in a variable's name, and providers' names have no underscore: one stands for the other.
        path = (path[0], path[1].replace("_", "-"), *path[2:])
    return path if variable.isupper() and _is_known(path, variable) else (variable,)


def _written(path: SettingPath, source: str) -> str:
    """The name of a setting as it is written in the environment or in the file."""
    if source != "environment":
        return ".".join(path)
    if path[0].startswith(PREFIX):
        return path[0]
    return PREFIX + "__".join(path).upper().replace("-", "_")


def _plant(tree: dict[str, Any], path: SettingPath, value: object) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def _leaves(tree: Mapping[str, Any], above: SettingPath = ()) -> Iterator[tuple[SettingPath, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _read_file(file: Path) -> dict[str, Any]:
    expected = "a readable TOML file"
    try:
        if not file.is_file():
            raise SettingsInvalid([Finding(str(file), "is no file", expected)])
        return TomlConfigSettingsSource(Settings, file)()
    except OSError as error:
        raise SettingsInvalid([Finding(str(file), f"cannot be read ({error.strerror})", expected)]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The place only: the rest of the message may quote the line, and a secret with it.
        line_number = re.search(r"at line [0-9]+, column [0-9]+", str(error))
        raise SettingsInvalid(
            [Finding(str(file), f"is no TOML {line_number[0] if line_number else ''}".strip(), expected)]
        ) from None


def load_settings(
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    development: bool = False,
    defaults: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Settings:
    """The settings of this process.

    Overrides win over the environment, it over the TOML file (config, or guestlist.toml in the working directory
    where there is one), it over defaults, and they over the fields' own. Who passes an environ of their own gets no
    file but the one they name. Raises SettingsInvalid with every finding.
    """
    file = config or (CONFIG_FILE if environ is None and CONFIG_FILE.exists() else None)
    sources: list[tuple[str, Mapping[str, Any]]] = [
        ("code", defaults or {}),
        ("file", _read_file(file) if file else {}),
        ("environment", Environment(os.environ if environ is None else environ)()),
        ("code", overrides),
    ]
    return _Reading(sources, development=development).settings()


class _Reading:
    """One reading of all sources: what they say, which of them said it, and what is wrong with it."""

    def __init__(self, sources: Iterable[tuple[str, Mapping[str, Any]]], *, development: bool) -> None:
        self.tree: dict[str, Any] = {}
        self.said_by: dict[SettingPath, str] = {}
        self.findings: list[Finding] = []
        self.development = development
        for source, said in sources:
            for path, value in _leaves(said):
                self._take(path, value, source)

    def _take(self, path: SettingPath, value: object, source: str) -> None:
        if not _is_known(path, value):
            self.findings.append(_unknown(path, source))
        elif self.development and source != "code" and path[:2] == ("providers", "dev"):
            problem, expected = "is reserved for the development provider", "another name"
            self.findings.append(Finding(_written(path[:2], source), problem, expected))
        else:
            self.said_by[path] = source
            _plant(self.tree, path, value)

    def settings(self) -> Settings:
        try:
            settings = Settings(**self.tree, development=self.development)
        except ValidationError as error:
            self.findings += [found for line in error.errors(include_url=False) for found in self._explain(dict(line))]
            raise SettingsInvalid(dict.fromkeys(self.findings)) from None
        if self.findings:
            raise SettingsInvalid(dict.fromkeys(self.findings))
        return settings

    def _explain(self, error: Mapping[str, Any]) -> Iterator[Finding]:
        path = _setting_path(error["loc"])
        if error["type"] == "setting":
            for field, problem, expected in error["ctx"]["found"]:
                yield Finding(self._name(path if field is None else (*path, field)), problem, expected)
            return
        is_shown = path[-1] not in _SECRETS
        problem = f"is {rule.shown(error['input']) if is_shown else 'not understood'}"
        yield Finding(self._name(path), "is missing" if error["type"] == "missing" else problem, _expected(path))

    def _name(self, path: SettingPath) -> str:
        """As it was written; where it is missing, as its nearest neighbour was."""
        for length in range(len(path), 0, -1):
            for said, source in self.said_by.items():
                if said[:length] == path[:length]:
                    return _written(path, source)
        sources = set(self.said_by.values())
        return _written(path, "file" if "file" in sources and "environment" not in sources else "environment")


def _is_known(path: SettingPath, value: object) -> bool:
    match path:
        case ("providers",) | ("providers", _):
            return value == {} or isinstance(value, ProviderSettings)
        case ("providers", _, field):
            return field in ProviderSettings.model_fields
        case ("rate_limits",):
            return value == {} or isinstance(value, RateLimits)
        case ("rate_limits", limit):
            return limit in RateLimits.model_fields
        case (field,):
            return field in Settings.model_fields and field != "development"
    return False


def _unknown(path: SettingPath, source: str) -> Finding:
    name = _written(path, source)
    known = {_plain(other): other for other in _known_names(path, source)}
    close = difflib.get_close_matches(_plain(name), known, n=1, cutoff=0.75)
    hint = f" (did you mean {known[close[0]]}?)" if close else ""
    return Finding(name, f"is no setting{hint}", "a name of the README's reference")


def _plain(name: str) -> str:
    return re.sub(r"[_.-]+", "_", name.lower())


def _known_names(path: SettingPath, source: str) -> Iterator[str]:
    provider = path[1] if path[0] == "providers" and len(path) > 1 else _guessed_provider(path[0].lower())
    for field in Settings.model_fields:
        if field not in {"development", "providers", "rate_limits"}:
            yield _written((field,), source)
    yield from (_written(("rate_limits", limit), source) for limit in RateLimits.model_fields)
    yield from (_written(("providers", provider, field), source) for field in ProviderSettings.model_fields)


def _guessed_provider(name: str) -> str:
    """The provider in a misspelt name, such as guestlist_providers_google_client_id or ..._providers__google__kin."""
    fields = "|".join(sorted(ProviderSettings.model_fields, key=len, reverse=True))
    match = re.search(rf"providers__([a-z0-9_-]+?)__|providers_+([a-z0-9_-]+?)_+({fields})$", name)
    return match[1] or match[2] if match else "name"


def _setting_path(location: Sequence[str | int]) -> SettingPath:
    """The setting that an error is in, without pydantic's own steps into lists and unions."""
    depth = {"providers": 3, "rate_limits": 2}.get(str(location[0]) if location else "", 1)
    return tuple(str(step) for step in location[:depth])


def _expected(path: SettingPath) -> str:
    models: dict[str, type[BaseModel]] = {"providers": ProviderSettings, "rate_limits": RateLimits}
    field = models.get(path[0], Settings).model_fields.get(path[-1])
    extra = field.json_schema_extra if field else None
    return str(extra["expected"]) if isinstance(extra, dict) else "a setting of the README's reference"


# ---------------------------------------------------------------------------------------------------- the reference


@dataclass(frozen=True, slots=True)
class Reference:
    """A setting as the README's reference names it, without the prefix; its default as an operator would write it."""

    name: str
    default: str
    meaning: str


def reference() -> list[Reference]:
    """Every setting, those of a provider as PROVIDERS__NAME__..., in the order of the reference."""
    rows: list[Reference] = []
    for field, info in Settings.model_fields.items():
        if field == "providers":
            rows += _rows(ProviderSettings, "PROVIDERS__NAME__")
        elif field == "rate_limits":
            rows += _rows(RateLimits, "RATE_LIMITS__")
        elif field != "development":
            rows.append(_row(field.upper(), info))
    return rows


def _rows(model: type[BaseModel], prefix: str) -> list[Reference]:
    return [_row(prefix + field.upper(), info) for field, info in model.model_fields.items()]


def _row(name: str, info: FieldInfo) -> Reference:
    return Reference(name, "" if info.is_required() else _default_text(info.default), info.description or "")


def _default_text(default: object) -> str:
    match default:
        case None:
            return "none"
        case SecretStr():
            return default.get_secret_value()
        case bool() | tuple():
            return json.dumps(default)
    return str(default)


__all__ = [
    "Finding",
    "ProviderSettings",
    "RateLimit",
    "RateLimits",
    "Reference",
    "Settings",
    "SettingsInvalid",
    "load_settings",
    "reference",
]
