"""The settings: one frozen value, loaded once at the start.

models.py       the settings, their defaults and meanings
rules.py        rules for single values
reading.py      the environment and the TOML file, and findings about wrong values
reference.py    the reference of the README
origins.py      origins, sites and loopback
"""

from service.settings.models import MOST_PROVIDERS, ProviderSettings, RateLimits, Settings
from service.settings.reading import Finding, SettingsInvalid, load_settings
from service.settings.reference import Reference, reference
from service.settings.rules import RateLimit

__all__ = [
    "MOST_PROVIDERS",
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
