"""The types of the API, one module for each subject.

Communities, invitations, audit events and members refer to each other. Modules import in one direction (viewer, acceptance >
communities > invitations > audit > members > nodes, providers), and name a type above them with `strawberry.lazy`.
"""

from schema.types.account import AccessToken, Identity, Session
from schema.types.audit import AuditEvent
from schema.types.communities import Community
from schema.types.invitations import Invitation
from schema.types.members import Member, Membership
from schema.types.nodes import Node
from schema.types.providers import Provider

__all__ = [
    "AccessToken",
    "AuditEvent",
    "Community",
    "Identity",
    "Invitation",
    "Member",
    "Membership",
    "Node",
    "Provider",
    "Session",
]
