"""Acceptances and sign-ins of the browser."""

from datetime import datetime
from typing import Final, Self

import strawberry

from schema.context import Info
from schema.types.communities import membership_with_community
from schema.types.members import Membership
from schema.types.providers import Provider, providers_of
from service.addresses import as_written, masked
from service.communities.members import memberships_of
from service.flow_sentences import from_columns
from service.invitations.accept import AcceptanceStatus
from service.invitations.links import LinkFacts, link_by_id
from service.languages import Sentence, gettext_noop, localized
from service.models import Flow, Role
from service.sign_in import proposed_address
from service.sign_in.flows import SignInStatus, may_retry
from service.sign_in.outcomes import outcome_for

_OPERATOR: Final = Sentence(gettext_noop("The operator of this service"))

strawberry.enum(AcceptanceStatus)
strawberry.enum(SignInStatus)


@strawberry.type
class InvitePreview:
    community_name: str
    inviter_name: str | None
    masked_email: str = strawberry.field(
        description="Enough for the invitee to recognise, too little for a stranger to learn: a•••@example.com; a"
        " one-letter local part is •••@example.com."
    )
    role: Role
    message: str | None
    link_expires_at: datetime
    providers: list[Provider]

    @classmethod
    def from_link(cls, link: LinkFacts, info: Info) -> Self:
        return cls(
            community_name=link.community_name,
            inviter_name=invited_by(link),
            masked_email=as_written(masked(link.email)),
            role=link.role,
            message=link.message,
            link_expires_at=link.expires_at,
            providers=providers_of(info),
        )


def invited_by(link: LinkFacts) -> str:
    """The inviter for the invitee. An account may lack a name, and the operator has no account."""
    if link.inviter_id is None:
        return localized(_OPERATOR)
    unnamed = Sentence(gettext_noop("An admin of %(community)s"), facts={"community": link.community_name})
    return link.inviter_name or localized(unnamed)


@strawberry.type
class Acceptance:
    id: strawberry.ID
    status: AcceptanceStatus
    community_name: str
    membership: Membership | None = strawberry.field(description="Set once accepted.")
    masked_email: str
    signed_in_email: str | None = strawberry.field(
        description="The address the person signed in with, where the sign-in succeeded."
    )
    provider: Provider | None
    message: str = strawberry.field(
        description="A sentence for a person, with what they can do next, in the language of the request."
    )
    can_retry: bool = strawberry.field(
        description="Whether acceptInvite without a token will try again with the same link."
    )
    reason: str | None = strawberry.field(
        description="The reason of a refusal, as a stable code for clients with their own texts: email_unverified,"
        " access_denied, inviter_not_entitled, ... Null without a refusal."
    )
    can_request_other_address: bool = strawberry.field(
        description="Whether requestOtherAddress would propose the signed-in address to the admins. The first proposed"
        " address stays; the timeline records later ones."
    )
    other_address_requested: bool = strawberry.field(
        description="Whether the signed-in address is proposed to the admins. False after requestOtherAddress means"
        " that another address was proposed before and stays."
    )

    @classmethod
    async def from_flow(cls, flow: Flow, info: Info) -> Self | None:
        context = info.context
        link = await link_by_id(flow.link_id or "", now=context.now)
        if link is None:
            return None
        membership = await _own_membership(flow, link, info)
        status, message = outcome_for(flow, link, is_member=membership is not None)
        return cls(
            id=strawberry.ID(flow.id),
            status=status,
            community_name=link.community_name,
            membership=membership,
            masked_email=as_written(masked(link.email)),
            signed_in_email=flow.signed_in_email and as_written(flow.signed_in_email),
            provider=Provider.from_optional(context.provider(flow.provider_id)),
            message=localized(message),
            can_retry=may_retry(flow, link, context.now),
            reason=None if membership else flow.reason,
            can_request_other_address=proposed_address.may_request(flow, link, context.now),
            other_address_requested=proposed_address.is_requested(flow, link),
        )


async def _own_membership(flow: Flow, link: LinkFacts, info: Info) -> Membership | None:
    """The caller's membership that the flow, or another flow with the same invitation, created; else None."""
    caller, settings = info.context.caller, info.context.settings
    if caller is None or not (flow.membership_id or link.is_accepted_by(caller.member_id)):
        return None
    memberships = await memberships_of(caller, settings, community_id=link.community_id)
    return next((
        membership_with_community(view) for view in memberships if flow.membership_id in {None, view.id}
    ), None)  # fmt: skip


@strawberry.type
class SignInOutcome:
    status: SignInStatus
    provider: Provider | None
    message: str

    @classmethod
    def from_flow(cls, flow: Flow, info: Info) -> Self:
        return cls(
            status=SignInStatus(flow.status),
            provider=Provider.from_optional(info.context.provider(flow.provider_id)),
            message=localized(from_columns(flow.message, flow.message_code, flow.message_facts)),
        )
