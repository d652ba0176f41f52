"""Proposed addresses: an invitee who proved another address can ask to be invited there.

The admins see the proposal and decide. It grants nothing and changes nothing else of the invitation.
"""

from datetime import datetime

from service import audit
from service.addresses import Address, AddressInvalid, canonical, masked
from service.changes import Changed, notify
from service.database import execute, select, transaction
from service.errors import InviteLinkInvalid
from service.invitation_status import is_open
from service.invitations.accept import AcceptanceStatus
from service.invitations.links import LinkFacts
from service.models import Flow
from service.openid import Verdict
from service.sign_in.flow_cookie import FlowCookie
from service.sign_in.flows import link_for_retry, may_retry


async def request(flow_id: str, *, cookie: FlowCookie, now: datetime) -> Flow:
    """Stores the address that this flow proved as the invitation's proposed address.

    The first proposal stays. The audit records a later one of another address, for the admins (H182).

    Raises InviteLinkInvalid when the flow did not end in EMAIL_MISMATCH, when its provider does not vouch for the
    address, and when the link no longer allows a return.
    """
    link, flow = await link_for_retry(cookie, flow_id=flow_id, now=now)
    proved = _proved_address(flow)
    if proved is None:
        raise InviteLinkInvalid
    details = {"email": masked(proved), "provider": flow.provider_id}
    async with transaction():
        if not await _propose(link, proved):
            if await _first_proposal(link) in {None, proved}:
                return flow
            details["standing"] = "another"
        await audit.record_anonymous(now, audit.Event(
            "invitation.other_address_requested", link.community_id, None, link.invitation_id, details
        ))  # fmt: skip
        await notify(Changed(link.community_id, link.invitation_id))
    return flow


def may_request(flow: Flow, link: LinkFacts, now: datetime) -> bool:
    """Whether a request would propose an address that is not proposed yet."""
    return may_retry(flow, link, now) and _proved_address(flow) is not None and not is_requested(flow, link)


def is_requested(flow: Flow, link: LinkFacts) -> bool:
    """Whether the address that this flow proved is the proposed one."""
    proved = _proved_address(flow)
    return proved is not None and proved == link.proposed_email


def _proved_address(flow: Flow) -> Address | None:
    vouched = (flow.evidence or {}).get("verdict") in {Verdict.AUTHORITATIVE, Verdict.THIRD_PARTY}
    if flow.status != AcceptanceStatus.EMAIL_MISMATCH or not vouched:
        return None
    try:
        return canonical(flow.signed_in_email or "")
    except AddressInvalid:
        return None


async def _propose(link: LinkFacts, proved: Address) -> bool:
    return await execute(
        "UPDATE invitations SET proposed_email = $1"  # noqa: S608 -- constants
        f" WHERE id = $2 AND generation = $3 AND {is_open()} AND proposed_email IS NULL",
        proved, link.invitation_id, link.generation,
    ) == 1  # fmt: skip


async def _first_proposal(link: LinkFacts) -> str | None:
    """The first address that was proposed for an open invitation."""
    rows = await select(
        f"SELECT proposed_email FROM invitations WHERE id = $1 AND generation = $2 AND {is_open()}",  # noqa: S608 -- constants
        link.invitation_id, link.generation,
    )  # fmt: skip
    return rows[0]["proposed_email"] if rows else None
