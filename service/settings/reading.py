"""Reading the settings from the environment, a TOML file and defaults.

It collects every fault and names it as the operator wrote it, with the expected value and without secrets.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource, TomlConfigSettingsSource

from service.settings.models import PREFIX, ProviderSettings, RateLimits, Settings
from service.settings.rules import quoted

CONFIG_FILE: Final = Path("guestlist.toml")

_SECRETS: Final = {"database_url", "mail_url", "client_secret"}
# Kubernetes sets these for a service named guestlist, and the tests read theirs.
_FOREIGN: Final = re.compile(
    r"GUESTLIST_(TEST_.*|SERVICE_HOST|SERVICE_PORT(_.*)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)"
)

SettingPath = tuple[str, ...]
"""The path of a setting: ("providers", "google", "kind")."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A wrong setting: its name as the operator wrote it, the problem, and the expected value."""

    name: str
    problem: str
    expected: str

    def __str__(self) -> str:
        return f"{self.name} {self.problem}; expected {self.expected}."


class SettingsInvalid(Exception):
    """Raised for wrong settings. Its text has one line for each finding, and no secret."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))


class Environment(PydanticBaseSettingsSource):
    """GUESTLIST_ variables as a tree. An empty variable counts as unset, as compose files need it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(Settings)
        self.environ = environ

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 -- pydantic's
        return self.environ.get(written_name((field_name,), "environment")), field_name, False

    def __call__(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for name in sorted(self.environ):
            if name.startswith(PREFIX) and not _FOREIGN.fullmatch(name) and self.environ[name].strip():
                _insert(tree, _path_of(name), self.environ[name])
        return tree


def _path_of(variable: str) -> SettingPath:
    """The path of a variable's setting. An unknown variable keeps its whole name, and is refused later."""
    path = tuple(variable.removeprefix(PREFIX).lower().split("__"))
    if path[0] == "providers" and len(path) > 1:
        # Shells allow no hyphen in a variable's name, and providers' names have no underscore, so an underscore means a hyphen.
        path = (path[0], path[1].replace("_", "-"), *path[2:])
    return path if variable.isupper() and _is_known(path, variable) else (variable,)


def written_name(path: SettingPath, source: str) -> str:
    """The name of a setting, as the environment or the file writes it."""
    if source != "environment":
        return ".".join(path)
    if path[0].startswith(PREFIX):
        return path[0]
    return PREFIX + "__".join(path).upper().replace("-", "_")


def _insert(tree: dict[str, Any], path: SettingPath, value: object) -> None:
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
            raise SettingsInvalid([Finding(str(file), "is not a file", expected)])
        return TomlConfigSettingsSource(Settings, file)()
    except OSError as error:
        raise SettingsInvalid([Finding(str(file), f"cannot be read ({error.strerror})", expected)]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # Only the position, because the rest of the message can quote a secret.
        position = re.search(r"at line [0-9]+, column [0-9]+", str(error))
        raise SettingsInvalid(
            [Finding(str(file), f"is no TOML {position[0] if position else ''}".strip(), expected)]
        ) from None


def load_settings(
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    development: bool = False,
    defaults: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Settings:
    """Loads the settings of this process.

    In order of precedence: overrides, the environment, the TOML file, `defaults`, the defaults of the fields. The file is
    `config`, or guestlist.toml in the working directory. With an explicit `environ`, only an explicit `config` is read.
    Raises SettingsInvalid with every finding.
    """
    file = config or (CONFIG_FILE if environ is None and CONFIG_FILE.exists() else None)
    sources: list[tuple[str, Mapping[str, Any]]] = [
        ("code", defaults or {}),
        ("file", _read_file(file) if file else {}),
        ("environment", Environment(os.environ if environ is None else environ)()),
        ("code", overrides),
    ]
    return _Merge(sources, development=development).settings()


class _Merge:
    """The merged values of all sources, the source of each value, and the findings."""

    def __init__(self, sources: Iterable[tuple[str, Mapping[str, Any]]], *, development: bool) -> None:
        self.tree: dict[str, Any] = {}
        self.source_of: dict[SettingPath, str] = {}
        self.findings: list[Finding] = []
        self.development = development
        for source, values in sources:
            for path, value in _leaves(values):
                self._take(path, value, source)

    def _take(self, path: SettingPath, value: object, source: str) -> None:
        if not _is_known(path, value):
            self.findings.append(_unknown(path, source))
        elif self.development and source != "code" and path[:2] == ("providers", "dev"):
            problem, expected = "is reserved for the development provider", "another name"
            self.findings.append(Finding(written_name(path[:2], source), problem, expected))
        else:
            self.source_of[path] = source
            _insert(self.tree, path, value)

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
        is_secret = path[-1] in _SECRETS
        problem = f"is {'not understood' if is_secret else quoted(error['input'])}"
        yield Finding(self._name(path), "is missing" if error["type"] == "missing" else problem, _expected(path))

    def _name(self, path: SettingPath) -> str:
        """The name as the operator wrote it. A missing setting is named like its nearest neighbour."""
        for length in range(len(path), 0, -1):
            for known, source in self.source_of.items():
                if known[:length] == path[:length]:
                    return written_name(path, source)
        sources = set(self.source_of.values())
        return written_name(path, "file" if "file" in sources and "environment" not in sources else "environment")


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
    name = written_name(path, source)
    known = {_comparable(other): other for other in _known_names(path, source)}
    close = difflib.get_close_matches(_comparable(name), known, n=1, cutoff=0.75)
    hint = f" (did you mean {known[close[0]]}?)" if close else ""
    return Finding(name, f"is no setting{hint}", "a name of the README's reference")


def _comparable(name: str) -> str:
    return re.sub(r"[_.-]+", "_", name.lower())


def _known_names(path: SettingPath, source: str) -> Iterator[str]:
    provider = path[1] if path[0] == "providers" and len(path) > 1 else _guessed_provider(path[0].lower())
    for field in Settings.model_fields:
        if field not in {"development", "providers", "rate_limits"}:
            yield written_name((field,), source)
    yield from (written_name(("rate_limits", limit), source) for limit in RateLimits.model_fields)
    yield from (written_name(("providers", provider, field), source) for field in ProviderSettings.model_fields)


def _guessed_provider(name: str) -> str:
    """The provider in a misspelt name, such as guestlist_providers_google_client_id or ..._providers__google__kin."""
    fields = "|".join(sorted(ProviderSettings.model_fields, key=len, reverse=True))
    match = re.search(rf"providers__([a-z0-9_-]+?)__|providers_+([a-z0-9_-]+?)_+({fields})$", name)
    return match[1] or match[2] if match else "name"


def _setting_path(location: Sequence[str | int]) -> SettingPath:
    """The setting of an error, without pydantic's own steps into lists and unions."""
    depth = {"providers": 3, "rate_limits": 2}.get(str(location[0]) if location else "", 1)
    return tuple(str(step) for step in location[:depth])


def _expected(path: SettingPath) -> str:
    models: dict[str, type[BaseModel]] = {"providers": ProviderSettings, "rate_limits": RateLimits}
    field = models.get(path[0], Settings).model_fields.get(path[-1])
    extra = field.json_schema_extra if field else None
    return str(extra["expected"]) if isinstance(extra, dict) else "a setting of the README's reference"
