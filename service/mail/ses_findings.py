"""Findings about the configuration of Amazon SES: one sentence each, with its remedy."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from service.mail.senders import UnsafeFinding

if TYPE_CHECKING:
    from types_boto3_sesv2.type_defs import (
        EventDestinationTypeDef,
        GetAccountResponseTypeDef,
        GetConfigurationSetResponseTypeDef,
        GetEmailIdentityResponseTypeDef,
    )

_EVENTS: Final = frozenset({"BOUNCE", "COMPLAINT", "DELIVERY", "DELIVERY_DELAY", "REJECT"})
# Each makes SES change all mails of the configuration set. Guestlist switches tracking off in each of its mails, but secret
# links need a second protection (H095).
_TRACKING: Final = {"CLICK": "rewrite the links", "OPEN": "add a tracking image"}


def account_findings(account: "GetAccountResponseTypeDef", region: str) -> list[str]:
    found = []
    if not account.get("SendingEnabled", True) or account.get("EnforcementStatus") == "SHUTDOWN":
        found.append(f"Amazon SES has paused sending for this account in {region}: open a case with AWS Support.")
    elif account.get("EnforcementStatus") == "PROBATION":
        found.append(
            f"Amazon SES has put this account under review in {region}: see its reputation page, and act on it."
        )
    if not account.get("ProductionAccessEnabled", True):
        found.append(
            f"The account is in the SES sandbox in {region}: mail reaches verified addresses only. Ask AWS for production access."
        )
    if account.get("VdmAttributes", {}).get("DashboardAttributes", {}).get("EngagementMetrics") == "ENABLED":
        found.append(
            "The Virtual Deliverability Manager of this account tracks engagement. Guestlist switches that off for each "
            "of its mails, but its links are secrets: switch engagement tracking off, or use a configuration set without it."
        )
    return found


def identity_findings(identity: "GetEmailIdentityResponseTypeDef", name: str, region: str) -> list[str]:
    found = []
    if not identity.get("VerifiedForSendingStatus", False):
        found.append(
            f"The sender's identity {name} is not verified in Amazon SES in {region}: finish its verification."
        )
    if identity.get("DkimAttributes", {}).get("Status", "SUCCESS") != "SUCCESS":
        found.append(
            f"DKIM of {name} is not set up, so mail may land in spam: publish the records that Amazon SES shows."
        )
    return found


def configuration_set_findings(found: "GetConfigurationSetResponseTypeDef", name: str) -> list[str]:
    findings = []
    if not found.get("SendingOptions", {}).get("SendingEnabled", True):
        findings.append(f"The configuration set {name} has sending switched off: switch it on in Amazon SES.")
    if found.get("ArchivingOptions", {}).get("ArchiveArn"):
        findings.append(
            f"The configuration set {name} archives every mail, links included, where others can read them: "
            "use a configuration set without an archive."
        )
    if found.get("VdmOptions", {}).get("DashboardOptions", {}).get("EngagementMetrics") == "ENABLED":
        findings.append(
            UnsafeFinding(f"The configuration set {name} tracks engagement (VDM): switch that off, links are secrets.")
        )
    return findings


def event_findings(
    destinations: "Sequence[EventDestinationTypeDef]", name: str, topic_arns: frozenset[str]
) -> list[str]:
    """Returns findings about the event destinations of a configuration set. Disabled destinations are ignored."""
    enabled = [destination for destination in destinations if destination.get("Enabled", False)]
    tracked = {event for destination in enabled for event in destination["MatchingEventTypes"]} & _TRACKING.keys()
    findings: list[str] = [
        UnsafeFinding(
            f"The configuration set {name} publishes {event} events, for which Amazon SES would {_TRACKING[event]}: "
            f"take {event} out of its event destinations."
        )
        for event in sorted(tracked)
    ]
    missing = _EVENTS - {
        event for destination in enabled if _topic(destination) for event in destination["MatchingEventTypes"]
    }
    if missing:
        findings.append(
            f"The configuration set {name} does not publish {', '.join(sorted(missing))} to SNS, so the service cannot see them: "
            "add them to an SNS event destination."
        )
    findings += [
        f"The configuration set {name} publishes to the topic {topic}, which GUESTLIST_SES_TOPIC_ARNS does not list: "
        "the service rejects its notifications. Add it there."
        for topic in sorted({_topic(destination) for destination in enabled} - topic_arns - {""})
    ]
    return findings


def _topic(destination: "EventDestinationTypeDef") -> str:
    return destination.get("SnsDestination", {}).get("TopicArn", "")
