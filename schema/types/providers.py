"""OpenID Providers for the choice of a sign-in."""

from typing import Self

import strawberry

from schema.context import Info
from service.openid import ProviderLabel


@strawberry.type
class Provider:
    id: strawberry.ID = strawberry.field(description="The operator's short name for it: google, microsoft, ...")
    label: str

    @classmethod
    def from_view(cls, label: ProviderLabel) -> Self:
        return cls(id=strawberry.ID(label.id), label=label.label)

    @classmethod
    def from_optional(cls, label: ProviderLabel | None) -> Self | None:
        return None if label is None else cls.from_view(label)


def providers_of(info: Info) -> list[Provider]:
    return [Provider.from_view(label) for label in info.context.flows.relying_party.providers]
