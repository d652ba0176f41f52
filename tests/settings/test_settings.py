"""The settings: their sources, their valid values, and the findings about invalid ones."""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr, ValidationError

from service.settings import (
    MOST_PROVIDERS,
    Finding,
    ProviderSettings,
    RateLimit,
    RateLimits,
    Settings,
    SettingsInvalid,
    load_settings,
    reference,
)
from service.settings.origins import normal_origin, site_of

TENANT: Final = "72f988bf-86f1-41af-91ab-2d7cd011db47"
OTHER_TENANT: Final = "b3d2c1a0-0000-4000-8000-0123456789ab"
PERSONAL: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
OIDC: Final = {"issuer": "https://login.example.com", "email_domains": "example.com"}


def from_environment(environ: Mapping[str, str] = {}, **overrides: Any) -> Settings:
    return load_settings(environ={f"GUESTLIST_{name}": value for name, value in environ.items()}, **overrides)


def provider(**fields: str) -> dict[str, str]:
    """The variables of one provider named main."""
    values = {"client_id": "guestlist", "client_secret": "sekrit"} | fields
    return {f"PROVIDERS__MAIN__{name.upper()}": value for name, value in values.items()}


def findings(environ: Mapping[str, str], **overrides: Any) -> tuple[Finding, ...]:
    with pytest.raises(SettingsInvalid) as refusal:
        from_environment(environ, **overrides)
    return refusal.value.findings


def single_finding(environ: Mapping[str, str], **overrides: Any) -> Finding:
    results = findings(environ, **overrides)
    assert len(results) == 1, results
    return results[0]


# ------------------------------------------------------------------------------------------------------ sources


def test_no_setting_is_required() -> None:
    """Without any setting the service uses the defaults of the reference."""
    settings = from_environment()
    assert settings.public_url == "http://localhost:8000"
    assert settings.database_url.get_secret_value() == "sqlite://guestlist.db"
    assert settings.is_sqlite
    assert (settings.mail_url, settings.mail_from, settings.providers) == (None, None, {})
    assert settings.confirm_url == "http://localhost:8000/confirm#{token}"
    assert (settings.link_minutes, settings.invitation_days, settings.retention_days) == (10, 7, 90)
    assert (settings.session_idle_hours, settings.session_days) == (12, 14)
    assert (settings.log_level, settings.log_format, settings.community_creation) == ("info", "json", "operators")
    assert not settings.development


def test_limits_have_the_documented_defaults() -> None:
    """Every limit is on by default, with the count and period of the reference."""
    assert {name: str(limit) for name, limit in RateLimits()} == {
        "invites_per_inviter": "300/1d",
        "invites_per_community": "1000/1d",
        "resends_per_invitation": "5/1d",
        "mails_per_recipient": "5/1h",
        "mails_per_recipient_overall": "30/1h",
        "fresh_links_per_invitation": "12/1d",
        "attempts_per_client": "60/1m",
    }


def test_sources_have_a_precedence(tmp_path: Path) -> None:
    """Overrides take precedence over the environment, then the file, then the caller's defaults."""
    file = tmp_path / "some.toml"
    file.write_text("link_minutes = 11\ninvitation_days = 11\nretention_days = 11\n")
    settings = from_environment(
        {"LINK_MINUTES": "12", "INVITATION_DAYS": "12"},
        config=file,
        defaults={"retention_days": 10, "session_days": 10},
        link_minutes=13,
    )
    assert settings.link_minutes == 13
    assert settings.invitation_days == 12
    assert settings.retention_days == 11
    assert settings.session_days == 10


def test_a_provider_can_be_split_over_two_sources(tmp_path: Path) -> None:
    """The environment adds the secret to a provider whose other settings are in the file."""
    file = tmp_path / "some.toml"
    file.write_text('[providers.my-co]\nkind = "google"\nclient_id = "c"\n')
    settings = from_environment({"PROVIDERS__MY_CO__CLIENT_SECRET": "sekrit"}, config=file)
    assert settings.providers["my-co"].client_id == "c"
    assert settings.providers["my-co"].client_secret == SecretStr("sekrit")


def test_the_working_directory_s_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """guestlist.toml is read from the working directory, but only with the process's environment."""
    (tmp_path / "guestlist.toml").write_text("link_minutes = 6\n")
    monkeypatch.chdir(tmp_path)
    assert load_settings().link_minutes == 6
    assert load_settings(environ={}).link_minutes == 10


def test_the_process_s_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an environ argument, the process's variables apply."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GUESTLIST_LINK_MINUTES", "6")
    assert load_settings().link_minutes == 6
    assert Settings().link_minutes == 10


def test_an_empty_variable_is_not_set() -> None:
    """An empty variable, as in compose files, keeps the default."""
    assert from_environment({"MAIL_URL": "", "LINK_MINUTES": " "}).mail_url is None


@pytest.mark.parametrize("text", ['["a.example.com", "b.example.com"]', "a.example.com, b.example.com,"])
def test_lists_are_json_or_have_commas(text: str) -> None:
    """Both formats of a list in the environment are equivalent."""
    variables = provider(kind="google", endpoint_hosts=text)
    assert from_environment(variables).providers["main"].endpoint_hosts == ("a.example.com", "b.example.com")


def test_a_missing_or_invalid_file_is_named(tmp_path: Path) -> None:
    """The error names the file and the position, and shows none of the file's contents."""
    assert single_finding({}, config=tmp_path / "absent.toml").name.endswith("absent.toml")
    file = tmp_path / "some.toml"
    file.write_text('mail_from = "a@example.com"\nmail_url = "smtp://u:sekrit@\n')
    finding = single_finding({}, config=file)
    assert finding.name == str(file)
    assert "line 2" in finding.problem
    assert "sekrit" not in str(finding)


# ------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("LINK_MINUTE", "GUESTLIST_LINK_MINUTES"),
        ("Link_Minutes", "GUESTLIST_LINK_MINUTES"),
        ("PUBLIC_URL__X", "GUESTLIST_PUBLIC_URL"),
        ("PROVIDERS_GOOGLE_CLIENT_ID", "GUESTLIST_PROVIDERS__GOOGLE__CLIENT_ID"),
        ("PROVIDERS__GOOGLE__CLIENTID", "GUESTLIST_PROVIDERS__GOOGLE__CLIENT_ID"),
        ("RATE_LIMITS_ATTEMPTS_PER_CLIENT", "GUESTLIST_RATE_LIMITS__ATTEMPTS_PER_CLIENT"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_likely_name(variable: str, meant: str) -> None:
    """A misspelt variable prevents the start. The finding suggests the likely name."""
    finding = single_finding({variable: "7"})
    assert finding.name == f"GUESTLIST_{variable}"
    assert f"did you mean {meant}?" in finding.problem


@pytest.mark.parametrize("variable", ["DEVELOPMENT", "PROVIDERS", "RATE_LIMITS", "PROVIDERS__MAIN__KIND__X", ""])
def test_unsupported_names_are_refused(variable: str) -> None:
    """Development mode and a whole table in one variable are not settings."""
    assert single_finding({variable: "true"}).name == f"GUESTLIST_{variable}"


def test_an_unknown_key_of_the_file_is_refused(tmp_path: Path) -> None:
    """The finding names a misspelt key as the file spells it."""
    file = tmp_path / "some.toml"
    file.write_text("link_minute = 6\ndevelopment = true\n[providers.main]\nclientid = 1\n")
    names = {finding.name for finding in findings({}, config=file)}
    assert {"link_minute", "development", "providers.main.clientid"} <= names


def test_variables_of_kubernetes_and_the_tests_are_ignored() -> None:
    """Kubernetes adds variables for a service named guestlist to every container. They do not prevent the start."""
    foreign = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR", "TEST_X"]
    assert from_environment(dict.fromkeys(foreign, "tcp://10.0.0.1:80")).link_minutes == 10


def test_a_wrong_value_is_named_by_its_source(tmp_path: Path) -> None:
    """The finding contains the variable's name or the file's key, depending on the value's source."""
    file = tmp_path / "some.toml"
    file.write_text("link_minutes = 30\n[rate_limits]\nattempts_per_client = 'often'\n")
    assert {finding.name for finding in findings({}, config=file)} == {
        "link_minutes",
        "rate_limits.attempts_per_client",
    }
    assert str(single_finding({"LINK_MINUTES": "30"})) == (
        'GUESTLIST_LINK_MINUTES is "30"; expected a whole number from 5 to 15.'
    )


def test_a_missing_value_is_named_by_its_providers_source(tmp_path: Path) -> None:
    """A provider of the file lacks a key of the file. A provider of the environment lacks a variable."""
    file = tmp_path / "some.toml"
    file.write_text('[providers.main]\nkind = "google"\nclient_id = "c"\n')
    assert single_finding({}, config=file).name == "providers.main.client_secret"
    assert single_finding(provider(kind="google", client_id="")).name == "GUESTLIST_PROVIDERS__MAIN__CLIENT_ID"


def test_one_start_reports_every_wrong_setting() -> None:
    """One start reports all problems: misspelt names and wrong values together."""
    results = findings({"LINK_MINUTES": "30", "INVITATION_DAYS": "x", "LOG_FORMAT": "xml", "LOG_LEVL": "info"})
    names = ["LOG_LEVL", "LINK_MINUTES", "INVITATION_DAYS", "LOG_FORMAT"]
    assert [finding.name for finding in results] == [f"GUESTLIST_{name}" for name in names]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LINK_MINUTES", "4"),
        ("LINK_MINUTES", "16"),
        ("INVITATION_DAYS", "0"),
        ("INVITATION_DAYS", "31"),
        ("RETENTION_DAYS", "0"),
        ("SESSION_IDLE_HOURS", "0"),
        ("SESSION_DAYS", "0"),
        ("LOG_LEVEL", "loud"),
        ("COMMUNITY_CREATION", "everyone"),
        ("MAILS_PER_SECOND", "0"),
        ("MAILS_PER_SECOND", "nan"),
    ],
)
def test_a_value_out_of_bounds_is_refused(variable: str, value: str) -> None:
    """Each bound refuses the first value beyond it, and the finding shows the bound."""
    finding = single_finding({variable: value})
    assert finding.name == f"GUESTLIST_{variable}"
    assert value in finding.problem


def test_there_are_at_most_fifty_providers() -> None:
    """The number of providers equals the size that the cost of operations assumes. The finding contains the actual
    number.
    """
    names = [f"P{number}" for number in range(MOST_PROVIDERS + 1)]
    overrides = {
        f"PROVIDERS__{name}__{key}": "google" for name in names for key in ("KIND", "CLIENT_ID", "CLIENT_SECRET")
    }
    finding = single_finding(overrides)
    assert f"has {MOST_PROVIDERS + 1} entries" in str(finding)
    fewer = {name: value for name, value in overrides.items() if f"__{names[-1]}__" not in name}
    assert len(from_environment(fewer).providers) == MOST_PROVIDERS


# ---------------------------------------------------------------------------------------------------------- origins


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://ID.Example.com:443/", "https://id.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("http://app.localhost:3000", "http://app.localhost:3000"),
        ("http://127.1.2.3:8000", "http://127.1.2.3:8000"),
        ("http://[0:0:0:0:0:0:0:1]:8000", "http://[::1]:8000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://intranet", "https://intranet"),
    ],
)
def test_an_origin_is_normalized_to_the_browsers_form(text: str, origin: str) -> None:
    """Case, default ports, a trailing slash and international names are normalized to the form of the Origin header."""
    assert from_environment({"PUBLIC_URL": text}).public_url == origin


@pytest.mark.parametrize(
    "text",
    [
        "id.example.com",
        "ftp://id.example.com",
        "https://",
        "https://id.example.com/guestlist",
        "https://id.example.com//",
        "https://id.example.com?x",
        "https://id.example.com#x",
        "https://user@id.example.com",
        "https://*.example.com",
        "https://id.example.com:0",
        "https://id.example.com:99999",
        "https://id.example.com.",
        "https://id example.com",
        "https://id.example.com\\@evil.example",
        "https://0x7f.1",
        "https://999.1.1.1",
        "http://id.example.com",
        "http://127.1",
        "http://10.0.0.1",
        "http://[::2]",
        "http://localhost.example.com",
        "http://notlocalhost",
    ],
)
def test_unsafe_public_urls_are_refused(text: str) -> None:
    """A public URL is an exact origin, and http only on loopback (design's Set-Cookie needs it)."""
    assert single_finding({"PUBLIC_URL": text}).name == "GUESTLIST_PUBLIC_URL"


def test_a_password_in_the_public_url_is_not_echoed() -> None:
    """A finding never shows a value that contains a password (H158)."""
    assert "sekrit" not in str(single_finding({"PUBLIC_URL": "https://me:sekrit@id.example.com"}))


@pytest.mark.parametrize(
    "origin", ["https://app.example.com", "https://example.com:8443", "http://localhost:5173", "https://127.0.0.1"]
)
def test_an_origin_of_the_same_site_is_allowed(origin: str) -> None:
    """Sub-domains and ports belong to one site. Loopback is always allowed."""
    settings = from_environment({"PUBLIC_URL": "https://id.example.com", "ALLOWED_ORIGINS": f"{origin}/"})
    assert settings.allowed_origins == (origin,)


@pytest.mark.parametrize(
    ("public", "origin"),
    [
        ("https://id.example.com", "https://app.example.org"),
        ("https://id.example.com", "https://evil-example.com"),
        ("https://one.co.uk", "https://two.co.uk"),
        ("https://one.github.io", "https://two.github.io"),
        ("https://203.0.113.5", "https://204.0.113.5"),
        ("http://localhost:8000", "https://app.example.com"),
    ],
)
def test_an_origin_of_another_site_is_refused_with_the_reason(public: str, origin: str) -> None:
    """By the public suffix list, two.github.io and one.github.io are different sites: browsers would not store the
    cookies.
    """
    finding = single_finding({"PUBLIC_URL": public, "ALLOWED_ORIGINS": origin})
    assert finding.name == "GUESTLIST_ALLOWED_ORIGINS"
    assert f"{origin}, of another site than {public}: browsers would not store the cookies" in finding.problem


def test_an_http_origin_beyond_loopback_is_refused() -> None:
    """An http page of the same name is another site, and attackers on the network can change it."""
    assert (
        "http"
        in single_finding({"PUBLIC_URL": "https://id.example.com", "ALLOWED_ORIGINS": "http://app.example.com"}).problem
    )


def test_sites_are_compared_with_their_schemes() -> None:
    """Browsers treat http and https of one domain as two sites."""
    assert site_of("https://a.example.co.uk") == site_of("https://example.co.uk:8443") == ("https", "example.co.uk")
    assert site_of("http://a.example.co.uk") != site_of("https://a.example.co.uk")
    assert normal_origin("null") is None


@pytest.mark.parametrize(
    ("public", "secure", "session", "flow"),
    [
        ("https://localhost:8000", True, "__Host-guestlist_session", "__Host-guestlist_flow"),
        ("http://localhost:8000", False, "guestlist_session", "guestlist_flow"),
    ],
)
def test_cookies_lose_their_prefix_on_http_loopback_only(public: str, secure: bool, session: str, flow: str) -> None:
    """An https loopback URL keeps the secure cookies (H102)."""
    settings = from_environment({"PUBLIC_URL": public})
    assert (settings.secure_cookies, settings.session_cookie, settings.flow_cookie) == (secure, session, flow)


# --------------------------------------------------------------------------------------------------------- links


@pytest.mark.parametrize(
    ("template", "link"),
    [
        ("{public_url}/join#{token}", "https://id.example.com/join#{token}"),
        ("https://app.example.com/#/join?t={token}", "https://app.example.com/#/join?t={token}"),
        ("https://id.example.com?a=b#{token}", "https://id.example.com?a=b#{token}"),
    ],
)
def test_a_link_keeps_its_token_in_the_fragment(template: str, link: str) -> None:
    """A custom page on the public URL or an allowed origin may receive the token."""
    variables = {"PUBLIC_URL": "https://id.example.com", "ALLOWED_ORIGINS": "https://app.example.com"}
    assert from_environment(variables | {"CONFIRM_URL": template}).confirm_url == link


@pytest.mark.parametrize(
    "template",
    [
        "https://id.example.com/join",
        "https://id.example.com/join?t={token}",
        "https://id.example.com/{token}#{token}",
        "https://id.example.com/#{token}{token}",
        "https://id.example.com/#{token}&{x}",
        "https://id.example.com/ #{token}",
        "https://app.example.org/#{token}",
        "https://id.example.com@evil.example/#{token}",
        "https://id.example.com.evil.example/#{token}",
        "http://id.example.com/#{token}",
        "//id.example.com/#{token}",
        "javascript:x#{token}",
        "/confirm#{token}",
    ],
)
def test_a_link_that_would_leak_its_token_is_refused(template: str) -> None:
    """A token before the fragment, or on a foreign origin, would reach other servers (H093)."""
    finding = single_finding({"PUBLIC_URL": "https://id.example.com", "CONFIRM_URL": template})
    assert finding.name == "GUESTLIST_CONFIRM_URL"


# ------------------------------------------------------------------------------------------------- database and mail


@pytest.mark.parametrize(
    ("url", "is_sqlite"),
    [
        ("sqlite:///var/lib/guestlist.db", True),
        ("SQLITE://guestlist.db?synchronous=FULL", True),
        ("postgres://u:p%40ss@db.example.com:5432/guestlist", False),
        ("postgresql://u@/guestlist?host=/run/postgresql", False),
    ],
)
def test_both_engines_have_urls(url: str, is_sqlite: bool) -> None:
    """URLs of SQLite files and PostgreSQL databases are distinguished by a scheme of any case."""
    assert from_environment({"DATABASE_URL": url}).is_sqlite is is_sqlite


@pytest.mark.parametrize(
    "url", ["mysql://u:sekrit@h/d", "guestlist.db", "sqlite://", "postgres://u:sekrit@h", "postgres://u:se/krit@h/d"]
)
def test_a_wrong_database_url_is_refused_without_showing_it(url: str) -> None:
    """The finding describes the expected form, and shows no part of the value."""
    finding = single_finding({"DATABASE_URL": url})
    assert finding.name == "GUESTLIST_DATABASE_URL"
    assert not {"sekrit", "krit", "mysql"} & set(str(finding).replace("/", " ").replace(":", " ").split())


@pytest.mark.parametrize("url", ["ses://eu-central-1?configuration_set=main", "smtp://u:p@mail:587", "SMTPS://mail"])
def test_mail_is_sent_through_ses_or_smtp(url: str) -> None:
    """Serve and worker accept the schemes ses, smtp and smtps."""
    settings = from_environment({"MAIL_URL": url, "MAIL_FROM": "a@example.com"})
    assert settings.mail_url
    assert settings.mail_url.get_secret_value() == url.replace("SMTPS", "smtps")


@pytest.mark.parametrize("url", ["http://mail", "smtp://u:sekrit@", "ses://", "smtp://u:sekrit@mail:port", "mail"])
def test_a_wrong_mail_url_is_refused_without_showing_it(url: str) -> None:
    """The finding does not show the password in a wrong URL (H158)."""
    finding = single_finding({"MAIL_URL": url, "MAIL_FROM": "a@example.com"})
    assert finding.name == "GUESTLIST_MAIL_URL"
    assert "sekrit" not in str(finding)


@pytest.mark.parametrize("url", ["mailbox:", "MAILBOX:", " mailbox:"])
def test_the_mailbox_exists_in_development_only(url: str) -> None:
    """No spelling of mailbox: is valid outside development."""
    assert single_finding({"MAIL_URL": url, "MAIL_FROM": "a@example.com"}).name == "GUESTLIST_MAIL_URL"
    assert from_environment({"MAIL_URL": url}, development=True).development


@pytest.mark.parametrize(
    "sender", ["no-reply@example.com", "Guestlist <no-reply@example.com>", '"A, B" <a@example.com>']
)
def test_a_sender_is_an_address_with_or_without_a_name(sender: str) -> None:
    """Both usual forms of a sender are accepted unchanged."""
    assert from_environment({"MAIL_FROM": sender}).mail_from == sender


@pytest.mark.parametrize(
    "sender",
    ["Guestlist", "a@b@c", "A <a@example.com>, b@example.com", "A <a@example.com>\r\nBcc: b@example.com", "<>"],
)
def test_lists_and_line_breaks_in_the_sender_are_refused(sender: str) -> None:
    """Lists and line breaks in the sender prevent the start (H087)."""
    assert single_finding({"MAIL_FROM": sender}).name == "GUESTLIST_MAIL_FROM"


def test_mail_needs_a_sender() -> None:
    """MAIL_URL without MAIL_FROM prevents the start."""
    finding = single_finding({"MAIL_URL": "ses://eu-central-1"})
    assert (finding.name, finding.problem) == ("GUESTLIST_MAIL_FROM", "is missing while MAIL_URL is set")


# -------------------------------------------------------------------------------------------------- limits, networks


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("3/30s", RateLimit(3, timedelta(seconds=30))),
        (" 60/1m ", RateLimit(60, timedelta(minutes=1))),
        ("5/36H", RateLimit(5, timedelta(hours=36))),
        ("off", None),
        ("OFF", None),
    ],
)
def test_a_limit_is_a_count_and_a_period_or_off(text: str, limit: RateLimit | None) -> None:
    """Changing one limit keeps the defaults of the others."""
    limits = from_environment({"RATE_LIMITS__MAILS_PER_RECIPIENT": text}).rate_limits
    assert limits.mails_per_recipient == limit
    assert limits == RateLimits(mails_per_recipient=limit)


@pytest.mark.parametrize("text", ["0/1d", "5", "5/d", "5/1w", "5/0s", "-1/1d", "5/32d", "none", "5/1d/1d"])
def test_malformed_limits_are_refused(text: str) -> None:
    """A disabled limit is written `off`, so that a count of zero cannot disable it by mistake."""
    assert (
        single_finding({"RATE_LIMITS__MAILS_PER_RECIPIENT": text}).name == "GUESTLIST_RATE_LIMITS__MAILS_PER_RECIPIENT"
    )


def test_a_limit_round_trips_through_its_text() -> None:
    """The text of a limit is parsed to the same limit."""
    for text in ("3/30s", "60/1m", "5/36h", "5/2d"):
        assert str(from_environment({"RATE_LIMITS__MAILS_PER_RECIPIENT": text}).rate_limits.mails_per_recipient) == text


def test_proxies_are_addresses_and_networks() -> None:
    """A single address is a network of one address."""
    settings = from_environment({"TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::1"})
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("2001:db8::1"))


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example.com", "*", "0.0.0.0/0", "::/0"])
def test_a_proxy_is_neither_a_name_nor_every_address(text: str) -> None:
    """If every address were a proxy, clients could choose X-Forwarded-For (H137)."""
    assert single_finding({"TRUSTED_PROXIES": text}).name == "GUESTLIST_TRUSTED_PROXIES"


def test_topics_are_arns() -> None:
    """An ARN of SNS is accepted. Anything else is refused (H144)."""
    arn = "arn:aws:sns:eu-central-1:123456789012:guestlist"
    assert from_environment({"SES_TOPIC_ARNS": arn}).ses_topic_arns == (arn,)
    for wrong in ("*", "arn:aws:sqs:eu-central-1:123456789012:guestlist", f"{arn}:x", "arn:aws:sns:eu-central-1:*:x"):
        assert single_finding({"SES_TOPIC_ARNS": wrong}).name == "GUESTLIST_SES_TOPIC_ARNS"


# -------------------------------------------------------------------------------------------------------- providers


def test_each_kind_of_provider_can_be_set_up() -> None:
    """Google needs only a registration, microsoft also needs tenants, and oidc needs an issuer and domains."""
    google = from_environment(provider(kind="google")).providers["main"]
    assert (google.kind, google.third_party_addresses, google.email_domains) == ("google", "confirm", None)
    microsoft = from_environment(provider(kind="microsoft", tenants=f"{TENANT.upper()},{PERSONAL}")).providers["main"]
    assert microsoft.tenants == (TENANT, "consumers")
    oidc = from_environment(provider(**OIDC)).providers["main"]
    assert (oidc.kind, oidc.email_domains, oidc.email_verified_values) == ("oidc", ("example.com",), (True,))
    assert oidc.email_verified_values[0] is True
    assert oidc.scopes == ("openid", "email", "profile")


def field_refused(field: str, **fields: str) -> Finding:
    finding = single_finding(provider(**fields))
    assert finding.name == f"GUESTLIST_PROVIDERS__MAIN__{field.upper()}"
    return finding


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("kind", {"kind": "github"}),
        ("client_id", {"kind": "google", "client_id": ""}),
        ("client_secret", {"kind": "google", "client_secret": ""}),
        ("issuer", {"email_domains": "example.com"}),
        ("email_domains", {"issuer": "https://login.example.com"}),
        ("email_domains", OIDC | {"email_domains": "[]"}),
        ("tenants", {"kind": "microsoft"}),
        ("tenants", {"kind": "microsoft", "tenants": "[]"}),
    ],
)
def test_an_incomplete_provider_is_refused(field: str, fields: dict[str, str]) -> None:
    """Without domains or tenants, an empty list must not mean that every address is trusted (H044, H031)."""
    field_refused(field, **fields)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("google", "email_domains", "example.com"),
        ("google", "trust_addresses", "true"),
        ("google", "email_verified_values", '["true"]'),
        ("google", "tenants", TENANT),
        ("google", "trust_tenant_addresses", "true"),
    ],
)
def test_google_has_no_settings_of_other_kinds(kind: str, field: str, value: str) -> None:
    """A setting without an effect is refused, because the operator expects an effect."""
    assert field_refused(field, kind=kind, **{field: value}).problem == "is given, but KIND is google"


def test_other_kinds_have_no_settings_of_google() -> None:
    """Third-party addresses do not apply to oidc, and domains do not apply to microsoft."""
    field_refused("third_party_addresses", third_party_addresses="trust", **OIDC)
    field_refused("email_domains", kind="microsoft", tenants="*", email_domains="example.com")
    field_refused("tenants", tenants=TENANT, **OIDC)


@pytest.mark.parametrize(
    "issuer",
    [
        "http://login.example.com",
        "https://login.example.com?x",
        "https://login.example.com#x",
        "https://u:p@login.example.com",
        "login.example.com",
        "https://",
        "https://login.example.com/{tenantid}/v2.0",
    ],
)
def test_an_issuer_is_one_https_url(issuer: str) -> None:
    """An issuer over http, with a query or a placeholder, is refused (H070)."""
    field_refused("issuer", issuer=issuer, email_domains="example.com")


@pytest.mark.parametrize(
    "issuer", ["https://login.example.com/realm/", "http://localhost:9000/dev", "http://127.0.0.1:1"]
)
def test_an_issuer_stays_byte_for_byte(issuer: str) -> None:
    """OpenID Connect compares issuers as text, including a trailing slash (H052)."""
    assert from_environment(provider(issuer=issuer, email_domains="*")).providers["main"].issuer == issuer


def test_email_domains_are_a_labels() -> None:
    """Domains are compared like the addresses: in lower case, as A-labels (H082)."""
    domains = from_environment(provider(**OIDC | {"email_domains": "Bücher.Example,EXAMPLE.com"})).providers["main"]
    assert domains.email_domains == ("xn--bcher-kva.example", "example.com")


@pytest.mark.parametrize(
    "domains", ["*,example.com", "*.example.com", "@example.com", "example.com.", "com", "a@b.com"]
)
def test_invalid_email_domains_are_refused(domains: str) -> None:
    """Patterns are refused: each domain is listed by its full name, or * is the only entry."""
    field_refused("email_domains", issuer="https://login.example.com", email_domains=domains)


@pytest.mark.parametrize("tenants", ["contoso.com", f"*,{TENANT}", "common", "organizations", TENANT[:-1]])
def test_tenants_are_ids(tenants: str) -> None:
    """A tenant's domain name can move to another tenant, so only its id identifies it (H031)."""
    field_refused("tenants", kind="microsoft", tenants=tenants)


@pytest.mark.parametrize("tenants", ["*", "consumers", PERSONAL, f"{TENANT},{OTHER_TENANT}", f"{TENANT},consumers"])
def test_addresses_are_trusted_of_exactly_one_tenant(tenants: str) -> None:
    """With several tenants, each could assert any address (H027)."""
    field_refused("trust_tenant_addresses", kind="microsoft", tenants=tenants, trust_tenant_addresses="true")
    variables = provider(kind="microsoft", tenants=TENANT, trust_tenant_addresses="true")
    assert from_environment(variables).providers["main"].trust_tenant_addresses


def test_addresses_are_trusted_of_listed_domains_only() -> None:
    """An issuer for any domain is not trusted without email_verified (H023)."""
    fields = {"issuer": "https://login.example.com", "trust_addresses": "true"}
    field_refused("trust_addresses", email_domains="*", **fields)
    assert from_environment(provider(email_domains="example.com", **fields)).providers["main"].trust_addresses


@pytest.mark.parametrize(
    "values", ["true", "[]", "[false]", '["false"]', "[0]", '[""]', "[null]", "[true", "[1.5]", "yes"]
)
def test_values_that_mean_unverified_never_count(values: str) -> None:
    """No setting can treat false as verified (H022)."""
    field_refused("email_verified_values", email_verified_values=values, **OIDC)


def test_values_of_email_verified_keep_their_json_types() -> None:
    """1 and true are different values, although they are equal in Python."""
    values = from_environment(provider(email_verified_values='[true, "true", 1]', **OIDC)).providers["main"]
    assert [type(value) for value in values.email_verified_values] == [bool, str, int]


@pytest.mark.parametrize("scopes", ["openid profile", "email", '["openid", "em ail"]', "profile"])
def test_scopes_contain_openid_and_email(scopes: str) -> None:
    """Without openid there is no ID token, and without email no address."""
    field_refused("scopes", scopes=scopes, **OIDC)


@pytest.mark.parametrize("scopes", ["openid email groups", "openid,email,groups", '["openid", "email", "groups"]'])
def test_scopes_have_spaces_or_commas_between_them(scopes: str) -> None:
    """Scopes are separated by spaces as in OAuth, or by commas like other lists."""
    assert from_environment(provider(scopes=scopes, **OIDC)).providers["main"].scopes == ("openid", "email", "groups")


@pytest.mark.parametrize(
    "hosts", ["https://oauth2.example.com", "oauth2.example.com/x", "*.example.com", "-a.example.com"]
)
def test_endpoint_hosts_are_hosts(hosts: str) -> None:
    """A URL or a pattern is not a host."""
    field_refused("endpoint_hosts", kind="google", endpoint_hosts=hosts)


def test_labels_fit_on_buttons() -> None:
    """A label with a line break or with 61 characters is refused."""
    for label in ("a\nb", "x" * 61):
        field_refused("label", kind="google", label=label)
    assert from_environment(provider(kind="google", label=" Example ")).providers["main"].label == "Example"


def test_providers_have_an_order() -> None:
    """POSITION orders the providers. Providers without a position come last."""
    several = {
        f"PROVIDERS__{name}__{field}": value
        for name in ("A", "B", "C")
        for field, value in {"KIND": "google", "CLIENT_ID": "c", "CLIENT_SECRET": "s"}.items()
    }
    settings = from_environment(several | {"PROVIDERS__C__POSITION": "1", "PROVIDERS__B__POSITION": "2"})
    assert [name for name, _ in settings.provider_list] == ["c", "b", "a"]


def test_provider_names_fit_into_urls(tmp_path: Path) -> None:
    """A name is part of the redirect URI, so it consists of 1 to 32 characters from a-z, 0-9 and -."""
    file = tmp_path / "some.toml"
    for name in ("My Co", "my_co", "x" * 33, ""):
        file.write_text(f'[providers."{name}"]\nkind = "google"\nclient_id = "c"\nclient_secret = "s"\n')
        assert single_finding({}, config=file).name.startswith(f"providers.{name}")


def test_the_development_providers_name_is_reserved() -> None:
    """In development no provider can replace dev. Outside development the name is ordinary."""
    variables = {name.replace("MAIN", "DEV"): value for name, value in provider(kind="google").items()}
    assert single_finding(variables, development=True).name == "GUESTLIST_PROVIDERS__DEV"
    assert "dev" in from_environment(variables).providers


# ---------------------------------------------------------------------------------------------------------- secrets


def test_no_secret_is_in_any_text_of_the_settings() -> None:
    """repr, str and every dump of the settings hide passwords and client secrets (H158)."""
    settings = from_environment(
        {"DATABASE_URL": "postgres://u:sekrit@h/d", "MAIL_URL": "smtp://u:sekrit@h", "MAIL_FROM": "a@example.com"}
        | provider(kind="google")
    )
    texts = [repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()]
    assert not [text for text in [*texts, repr(settings.providers)] if "sekrit" in text]
    assert settings.providers["main"].client_secret == SecretStr("sekrit")


def test_no_secret_is_in_any_finding() -> None:
    """Findings about a secret or a neighbouring value do not show the secret (H158)."""
    secrets = {"DATABASE_URL": "sekrit", "MAIL_URL": "sekrit", "PUBLIC_URL": "http://u:sekrit@h"}
    with pytest.raises(SettingsInvalid) as refusal:
        from_environment(secrets | provider(kind="nothing", issuer="https://u:sekrit@h"))
    assert len(refusal.value.findings) == 5
    assert "sekrit" not in str(refusal.value) + repr(refusal.value.findings)


@pytest.mark.parametrize("text", ["u:sekrit@h", "https://h/sekrit", "sekrit" * 8])
def test_a_pasted_secret_is_not_shown(text: str) -> None:
    """A finding shows a misplaced value only if it is short and not a URL (H158)."""
    assert "sekrit" not in str(single_finding({"LOG_LEVEL": text}))


def test_a_secret_of_the_wrong_type_is_not_shown(tmp_path: Path) -> None:
    """A list in place of a secret is refused without showing it (H158)."""
    file = tmp_path / "some.toml"
    file.write_text(
        'mail_url = ["sekrit"]\n[providers.main]\nkind = "google"\nclient_id = "c"\nclient_secret = ["sekrit"]\n'
    )
    results = findings({}, config=file)
    assert {finding.name for finding in results} == {"mail_url", "providers.main.client_secret"}
    assert "sekrit" not in str(results)


def test_no_secret_is_in_a_direct_error() -> None:
    """Wrong settings that are constructed directly raise an error without their values (H158)."""
    provider = {"client_id": "c", "client_secret": ["sekrit"]}
    for model, values in ((Settings, {"database_url": "sekrit"}), (ProviderSettings, provider)):
        with pytest.raises(ValidationError) as error:
            model.model_validate(values)
        assert "sekrit" not in str(error.value)


def test_settings_are_immutable() -> None:
    """Settings are read once and cannot be changed."""
    with pytest.raises(ValidationError, match="frozen"):
        from_environment().link_minutes = 12  # type: ignore[misc]


# -------------------------------------------------------------------------------------------------------- reference


def test_the_reference_has_every_setting_with_its_default() -> None:
    """Each name of the reference is valid as a variable. Setting its documented default changes nothing."""
    unset = {"none", "", "[]"}
    for row in reference():
        assert row.meaning, row.name
        if row.default in unset or row.name.startswith("PROVIDERS__"):
            continue
        assert from_environment({row.name: row.default}) == from_environment(), row.name


def test_the_reference_has_no_setting_twice() -> None:
    """The reference names the settings of the contract. Those of providers and limits have their prefixes."""
    names = [row.name for row in reference()]
    assert len(set(names)) == len(names)
    assert {"PUBLIC_URL", "PROVIDERS__NAME__CLIENT_SECRET", "RATE_LIMITS__ATTEMPTS_PER_CLIENT"} <= set(names)
    assert "DEVELOPMENT" not in names
