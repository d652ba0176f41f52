"""The reference of all settings, for the README."""

import json
from dataclasses import dataclass

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from service.settings.models import ProviderSettings, RateLimits, Settings


@dataclass(frozen=True, slots=True)
class Reference:
    """A setting in the README's reference: its name without the prefix, its default as an operator writes it, its meaning."""

    name: str
    default: str
    meaning: str


def reference() -> list[Reference]:
    """Every setting in the order of the reference. Those of a provider are named PROVIDERS__NAME__..."""
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
