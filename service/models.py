"""The tables, with their constraints.

Facts are instants (`accepted_at`). Derived values, such as the status of an invitation, are never stored. Tables contain digests of
tokens (`service.tokens`), and no tokens. Instants are in UTC.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from tortoise import fields
from tortoise.indexes import Index
from tortoise.migrations.constraints import CheckConstraint
from tortoise.models import Model

from service.languages import Sentence, gettext_noop

ID = 40  # a prefix, an underscore and 22 random characters
DIGEST = 64
NAME = 100
MESSAGE = 1000
ADDRESS = 254


class Role(StrEnum):
    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"

    @property
    def rank(self) -> int:
        return _RANKS[self]

    @property
    def label(self) -> Sentence:
        """The role in words, as part of a sentence."""
        return _LABELS[self]


_RANKS: Final = {Role.MEMBER: 0, Role.ADMIN: 1, Role.OWNER: 2}
_LABELS: Final = {
    Role.MEMBER: Sentence(gettext_noop("member")),
    Role.ADMIN: Sentence(gettext_noop("admin")),
    Role.OWNER: Sentence(gettext_noop("owner")),
}


class Delivery(StrEnum):
    """The delivery of an invitation's newest mail. CANCELLED is derived (`service.invitation_status`), and never stored."""

    QUEUED = "QUEUED"
    SENT = "SENT"
    DELAYED = "DELAYED"
    DELIVERED = "DELIVERED"
    BOUNCED = "BOUNCED"
    COMPLAINED = "COMPLAINED"
    SUPPRESSED = "SUPPRESSED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class FlowKind(StrEnum):
    ACCEPT = "accept"
    SIGN_IN = "sign_in"
    LINK_IDENTITY = "link_identity"


class MailKind(StrEnum):
    """The kind of a mail order."""

    INVITATION = "invitation"  # the first mail, or an admin's resend
    FRESH_LINK = "fresh_link"  # requested by the holder of an expired link
    CODE = "code"  # proves the invited mailbox within a flow
    NOTICE = "notice"  # reports an event to a person; `Notice` names it


class Notice(StrEnum):
    """The subject of a notice, and its recipient."""

    ADDRESS_BLOCKED = "address_blocked"  # to the invited mailbox: a community can no longer invite it
    IDENTITY_LINKED = "identity_linked"  # to an account: a sign-in was added


_STORED_DELIVERIES: Final = tuple(delivery for delivery in Delivery if delivery is not Delivery.CANCELLED)


def _one_of(column: str, values: Iterable[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


class Member(Model):
    """A person with an account. The email is a contact detail: it never finds, links or merges an account."""

    id = fields.CharField(primary_key=True, max_length=ID)
    name = fields.CharField(max_length=NAME, null=True)
    email = fields.CharField(max_length=ADDRESS, null=True)
    created_at = fields.DatetimeField()
    erased_at = fields.DatetimeField(null=True)

    class Meta:
        table = "members"
        indexes = [Index(fields=("email",), name="ix_members_email")]


class Identity(Model):
    """A sign-in that opens an account; its key is (issuer, subject).

    `email` is the address from its provider. `email_proven` is true when the provider runs that mailbox, or when the address was
    the invited one at an acceptance. Any other address is an unproved claim.
    """

    id = fields.CharField(primary_key=True, max_length=ID)
    member: fields.ForeignKeyRelation[Member] = fields.ForeignKeyField(
        "guestlist.Member", related_name="identities", on_delete=fields.RESTRICT
    )
    member_id: str
    provider_id = fields.CharField(max_length=32)
    issuer = fields.CharField(max_length=500)
    subject = fields.CharField(max_length=255)
    email = fields.CharField(max_length=ADDRESS, null=True)
    email_proven = fields.BooleanField(default=False, db_default=False)
    linked_at = fields.DatetimeField()
    last_used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "identities"
        unique_together = (("issuer", "subject"),)
        indexes = [
            Index(fields=("member_id",), name="ix_identities_member"),
            Index(fields=("email",), name="ix_identities_email"),
        ]


class Session(Model):
    """A session of a member, found by the digest of its cookie."""

    id = fields.CharField(primary_key=True, max_length=ID)
    member: fields.ForeignKeyRelation[Member] = fields.ForeignKeyField(
        "guestlist.Member", related_name="sessions", on_delete=fields.RESTRICT
    )
    member_id: str
    digest = fields.CharField(max_length=DIGEST, unique=True)
    provider_id = fields.CharField(max_length=32, null=True)
    user_agent = fields.CharField(max_length=300, null=True)
    created_at = fields.DatetimeField()
    last_seen_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)

    class Meta:
        table = "sessions"
        indexes = [
            Index(fields=("member_id",), name="ix_sessions_member"),
            Index(fields=("expires_at",), name="ix_sessions_expires"),
        ]


class Community(Model):
    """A team or group in which private information is shared, and its policy; null means the operator's default."""

    id = fields.CharField(primary_key=True, max_length=ID)
    name = fields.CharField(max_length=NAME)
    locale = fields.CharField(max_length=35, null=True)
    created_at = fields.DatetimeField()
    link_minutes = fields.SmallIntField(null=True)
    invitation_days = fields.SmallIntField(null=True)
    allowed_email_domains: fields.Field[list[str]] = fields.JSONField(default=list)
    seat_limit = fields.IntField(null=True)

    class Meta:
        table = "communities"
        constraints = [
            CheckConstraint(name="ck_communities_link_minutes", check="link_minutes BETWEEN 5 AND 15"),
            CheckConstraint(name="ck_communities_invitation_days", check="invitation_days BETWEEN 1 AND 30"),
            CheckConstraint(name="ck_communities_seat_limit", check="seat_limit >= 1"),
        ]


class Membership(Model):
    """A member's membership in a community. Leaving deletes it; the audit keeps the event."""

    id = fields.CharField(primary_key=True, max_length=ID)
    member: fields.ForeignKeyRelation[Member] = fields.ForeignKeyField(
        "guestlist.Member", related_name="memberships", on_delete=fields.RESTRICT
    )
    member_id: str
    community: fields.ForeignKeyRelation[Community] = fields.ForeignKeyField(
        "guestlist.Community", related_name="memberships", on_delete=fields.RESTRICT
    )
    community_id: str
    role = fields.CharField(max_length=6)
    joined_at = fields.DatetimeField()

    class Meta:
        table = "memberships"
        unique_together = (("community_id", "member_id"),)
        indexes = [
            Index(fields=("member_id",), name="ix_memberships_member"),
            Index(fields=("community_id", "joined_at", "id"), name="ix_memberships_page"),
        ]
        constraints = [CheckConstraint(name="ck_memberships_role", check=_one_of("role", Role))]


class Invitation(Model):
    """An invitation of an address to a community, valid for days. At most one is open per community and address.

    `generation` counts the sendings by admins: links and flows of an earlier generation are invalid. `expires_at` is `days`
    days after `created_at`; `days` is null for a declined invitation that was reopened. With it, an index separates pending
    from expired invitations (`service.invitations.search`). A resend clears `delivered_at`, and keeps `first_delivered_at` and
    `opened_at`, the first sign-in with a link, for the funnel.
    `for_member` is set when the operator lets the owner of an account sign in again (`service.invitations.operator`).
    `access_token_id` names the access token that made the invitation or sent it last; null means a session or the
    operator. It is not a foreign key, because erasing a person deletes their tokens and keeps the invitations.
    """

    id = fields.CharField(primary_key=True, max_length=ID)
    community: fields.ForeignKeyRelation[Community] = fields.ForeignKeyField(
        "guestlist.Community", related_name="invitations", on_delete=fields.RESTRICT
    )
    community_id: str
    email = fields.CharField(max_length=ADDRESS)
    role = fields.CharField(max_length=6)
    message = fields.CharField(max_length=MESSAGE, null=True)
    locale = fields.CharField(max_length=35, null=True)
    inviter: fields.ForeignKeyNullableRelation[Member] = fields.ForeignKeyField(
        "guestlist.Member", related_name="invited", on_delete=fields.RESTRICT, null=True
    )
    inviter_id: str | None
    for_member: fields.ForeignKeyNullableRelation[Member] = fields.ForeignKeyField(
        "guestlist.Member", related_name="readmissions", on_delete=fields.RESTRICT, null=True
    )
    for_member_id: str | None
    generation = fields.IntField(default=1)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    days = fields.SmallIntField(null=True)
    accepted_at = fields.DatetimeField(null=True)
    accepted_by: fields.ForeignKeyNullableRelation[Member] = fields.ForeignKeyField(
        "guestlist.Member", related_name="accepted", on_delete=fields.RESTRICT, null=True
    )
    accepted_by_id: str | None
    declined_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)
    revoked_by: fields.ForeignKeyNullableRelation[Member] = fields.ForeignKeyField(
        "guestlist.Member", related_name="revoked", on_delete=fields.RESTRICT, null=True
    )
    revoked_by_id: str | None
    superseded_at = fields.DatetimeField(null=True)
    delivery = fields.CharField(max_length=10, default=Delivery.QUEUED.value)
    delivery_reason = fields.CharField(max_length=500, null=True)  # an English sentence, in rows of earlier versions
    delivery_code = fields.CharField(max_length=60, null=True)  # service.mail.reasons, with its facts
    delivery_facts: fields.Field[dict[str, str] | None] = fields.JSONField(null=True)
    delivery_at = fields.DatetimeField(null=True)
    last_sent_at = fields.DatetimeField(null=True)
    delivered_at = fields.DatetimeField(null=True)
    first_delivered_at = fields.DatetimeField(null=True)
    opened_at = fields.DatetimeField(null=True)
    resent_at = fields.DatetimeField(null=True)
    resends = fields.SmallIntField(default=0)
    resends_since_at = fields.DatetimeField(null=True)
    proposed_email = fields.CharField(max_length=ADDRESS, null=True)
    erased_at = fields.DatetimeField(null=True)
    access_token_id = fields.CharField(max_length=ID, null=True)

    class Meta:
        table = "invitations"
        indexes = [Index(fields=("community_id", "created_at", "id"), name="ix_invitations_page")]
        constraints = [
            CheckConstraint(name="ck_invitations_role", check=_one_of("role", Role)),
            CheckConstraint(name="ck_invitations_delivery", check=_one_of("delivery", _STORED_DELIVERIES)),
            CheckConstraint(name="ck_invitations_deadline", check="expires_at > created_at"),
            CheckConstraint(
                name="ck_invitations_one_end",
                check="(CASE WHEN accepted_at IS NULL THEN 0 ELSE 1 END)"
                " + (CASE WHEN declined_at IS NULL THEN 0 ELSE 1 END)"
                " + (CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END) <= 1",
            ),
            CheckConstraint(
                name="ck_invitations_accepted_by", check="accepted_by_id IS NULL OR accepted_at IS NOT NULL"
            ),
        ]


class MailOrder(Model):
    """The outbox: an order to send one mail. It contains no link and no code.

    A worker claims an order with a lease: it moves `due_at` to the lease's end, and counts an attempt, whose number guards its
    completion. `tries` counts the failed attempts; `delivery` is the furthest state that events reported for this mail.

    An order with a member goes to that account's own address, every other to the invited mailbox. `notice` is a `Notice`, only
    for orders of that kind. `facts` are the values of its text, without secrets. `email` is the address of
    the account that the newest attempt wrote to.
    """

    id = fields.CharField(primary_key=True, max_length=ID)
    kind = fields.CharField(max_length=10)
    notice = fields.CharField(max_length=40, null=True)
    facts: fields.Field[dict[str, str] | None] = fields.JSONField(null=True)
    invitation: fields.ForeignKeyNullableRelation[Invitation] = fields.ForeignKeyField(
        "guestlist.Invitation", related_name="mail_orders", on_delete=fields.CASCADE, null=True
    )
    invitation_id: str | None
    generation = fields.IntField(null=True)
    member: fields.ForeignKeyNullableRelation[Member] = fields.ForeignKeyField(
        "guestlist.Member", related_name="mail_orders", on_delete=fields.RESTRICT, null=True
    )
    member_id: str | None
    email = fields.CharField(max_length=ADDRESS, null=True)
    flow_id = fields.CharField(max_length=ID, null=True)
    created_at = fields.DatetimeField()
    due_at = fields.DatetimeField()
    attempt = fields.IntField(default=0)
    tries = fields.SmallIntField(default=0, db_default=0)
    delivery = fields.CharField(max_length=10, null=True)
    sent_at = fields.DatetimeField(null=True)
    failed_at = fields.DatetimeField(null=True)
    cancelled_at = fields.DatetimeField(null=True)
    message_id = fields.CharField(max_length=200, null=True)

    class Meta:
        table = "mail_orders"
        indexes = [
            Index(fields=("invitation_id",), name="ix_mail_orders_invitation"),
            Index(fields=("message_id",), name="ix_mail_orders_message"),
            Index(fields=("member_id",), name="ix_mail_orders_member"),
        ]
        constraints = [
            CheckConstraint(name="ck_mail_orders_kind", check=_one_of("kind", MailKind)),
            CheckConstraint(name="ck_mail_orders_notice", check="(kind = 'notice') = (notice IS NOT NULL)"),
            CheckConstraint(name="ck_mail_orders_invitation", check="kind = 'notice' OR invitation_id IS NOT NULL"),
            CheckConstraint(name="ck_mail_orders_generation", check="(invitation_id IS NULL) = (generation IS NULL)"),
            CheckConstraint(
                name="ck_mail_orders_recipient", check="invitation_id IS NOT NULL OR member_id IS NOT NULL"
            ),
        ]


class Link(Model):
    """A link that a mail carries, for minutes: the digest of its token."""

    id = fields.CharField(primary_key=True, max_length=ID)
    invitation: fields.ForeignKeyRelation[Invitation] = fields.ForeignKeyField(
        "guestlist.Invitation", related_name="links", on_delete=fields.CASCADE
    )
    invitation_id: str
    mail_order: fields.ForeignKeyRelation[MailOrder] = fields.ForeignKeyField(
        "guestlist.MailOrder", related_name="links", on_delete=fields.CASCADE
    )
    mail_order_id: str
    generation = fields.IntField()
    digest = fields.CharField(max_length=DIGEST, unique=True)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()

    class Meta:
        table = "links"
        indexes = [Index(fields=("invitation_id",), name="ix_links_invitation")]
        constraints = [CheckConstraint(name="ck_links_deadline", check="expires_at > created_at")]


class FreshLinkRequest(Model):
    """A request for a fresh link, with the digest of its token, known or not. A worker decides and deletes it."""

    digest = fields.CharField(primary_key=True, max_length=DIGEST)
    requested_at = fields.DatetimeField()

    class Meta:
        table = "fresh_link_requests"
        indexes = [Index(fields=("requested_at",), name="ix_fresh_link_requests_requested")]


class UnsubscribeToken(Model):
    """The token of an unsubscribe link, valid for 30 days."""

    digest = fields.CharField(primary_key=True, max_length=DIGEST)
    email = fields.CharField(max_length=ADDRESS)
    expires_at = fields.DatetimeField()

    class Meta:
        table = "unsubscribe_tokens"
        indexes = [Index(fields=("expires_at",), name="ix_unsubscribe_tokens_expires")]


class Flow(Model):
    """A sign-in or acceptance on its way through a provider, bound to the browser that started it.

    The digests of the OAuth state and of the browser's flow cookie find it. `claimed_at` makes its return single use. `status`
    and `reason` are its outcome.
    """

    id = fields.CharField(primary_key=True, max_length=ID)
    kind = fields.CharField(max_length=13)
    browser_digest = fields.CharField(max_length=DIGEST)
    state_digest = fields.CharField(max_length=DIGEST, unique=True)
    nonce_digest = fields.CharField(max_length=DIGEST)
    code_verifier = fields.CharField(max_length=128, null=True)
    provider_id = fields.CharField(max_length=32)
    return_to = fields.CharField(max_length=2000)
    link: fields.ForeignKeyNullableRelation[Link] = fields.ForeignKeyField(
        "guestlist.Link", related_name="flows", on_delete=fields.CASCADE, null=True
    )
    link_id: str | None
    session: fields.ForeignKeyNullableRelation[Session] = fields.ForeignKeyField(
        "guestlist.Session", related_name="flows", on_delete=fields.CASCADE, null=True
    )
    session_id: str | None
    started_at = fields.DatetimeField()
    first_started_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    claimed_at = fields.DatetimeField(null=True)
    status = fields.CharField(max_length=20, default="STARTED")
    reason = fields.CharField(max_length=50, null=True)
    message = fields.CharField(max_length=500, null=True)  # an English sentence, in rows of earlier versions
    message_code = fields.CharField(max_length=60, null=True)  # service.flow_sentences, with its facts
    message_facts: fields.Field[dict[str, str] | None] = fields.JSONField(null=True)
    issuer = fields.CharField(max_length=500, null=True)
    subject = fields.CharField(max_length=255, null=True)
    signed_in_email = fields.CharField(max_length=ADDRESS, null=True)
    signed_in_name = fields.CharField(max_length=NAME, null=True)
    evidence: fields.Field[dict[str, str] | None] = fields.JSONField(null=True)
    membership_id = fields.CharField(max_length=ID, null=True)
    code_digest = fields.CharField(max_length=DIGEST, null=True)
    code_expires_at = fields.DatetimeField(null=True)
    code_tries_left = fields.SmallIntField(null=True)

    class Meta:
        table = "flows"
        indexes = [
            Index(fields=("browser_digest", "started_at"), name="ix_flows_browser"),
            Index(fields=("link_id",), name="ix_flows_link"),
            Index(fields=("started_at",), name="ix_flows_started"),
        ]
        constraints = [
            CheckConstraint(name="ck_flows_kind", check=_one_of("kind", FlowKind)),
            CheckConstraint(name="ck_flows_link", check="(kind = 'accept') = (link_id IS NOT NULL)"),
            CheckConstraint(name="ck_flows_session", check="kind <> 'link_identity' OR session_id IS NOT NULL"),
            CheckConstraint(name="ck_flows_code_tries", check="code_tries_left BETWEEN 0 AND 5"),
        ]


class Block(Model):
    """A block: one community can no longer invite an address.

    `made_by` is `link`: a holder of the invitation's link made it, not necessarily the invitee. The owner of the mailbox can
    lift it with the mail about the block (`BlockUndoToken`).
    """

    id = fields.CharField(primary_key=True, max_length=ID)
    community: fields.ForeignKeyRelation[Community] = fields.ForeignKeyField(
        "guestlist.Community", related_name="blocks", on_delete=fields.CASCADE
    )
    community_id: str
    email = fields.CharField(max_length=ADDRESS)
    created_at = fields.DatetimeField()
    made_by = fields.CharField(max_length=10, default="link", db_default="link")
    invitation_id = fields.CharField(max_length=ID, null=True)

    class Meta:
        table = "blocks"
        unique_together = (("community_id", "email"),)


class BlockUndoToken(Model):
    """The digest of the token that lifts a block, from the mail about it; valid for 30 days, or until the block ends."""

    digest = fields.CharField(primary_key=True, max_length=DIGEST)
    block: fields.ForeignKeyRelation[Block] = fields.ForeignKeyField(
        "guestlist.Block", related_name="undo_tokens", on_delete=fields.CASCADE
    )
    block_id: str
    expires_at = fields.DatetimeField()

    class Meta:
        table = "block_undo_tokens"
        indexes = [
            Index(fields=("block_id",), name="ix_block_undo_tokens_block"),
            Index(fields=("expires_at",), name="ix_block_undo_tokens_expires"),
        ]


class Suppression(Model):
    """An address that gets no mail from any community."""

    email = fields.CharField(primary_key=True, max_length=ADDRESS)
    reason = fields.CharField(max_length=12)
    created_at = fields.DatetimeField()

    class Meta:
        table = "suppressions"
        constraints = [
            CheckConstraint(name="ck_suppressions_reason", check="reason IN ('bounced', 'complained', 'unsubscribed')")
        ]


class Notification(Model):
    """A processed delivery notification, by its id from SNS. A repeated one changes nothing."""

    id = fields.CharField(primary_key=True, max_length=100)
    received_at = fields.DatetimeField()

    class Meta:
        table = "notifications"
        indexes = [Index(fields=("received_at",), name="ix_notifications_received")]


class AccessToken(Model):
    """The access token of a script, found by its digest. It can read, or also invite, in some communities.

    `highest_role` limits the role of its invitations, even below its member's own role.
    """

    id = fields.CharField(primary_key=True, max_length=ID)
    member: fields.ForeignKeyRelation[Member] = fields.ForeignKeyField(
        "guestlist.Member", related_name="access_tokens", on_delete=fields.RESTRICT
    )
    member_id: str
    name = fields.CharField(max_length=NAME)
    digest = fields.CharField(max_length=DIGEST, unique=True)
    scopes: fields.Field[list[str]] = fields.JSONField(default=list)
    community_ids: fields.Field[list[str]] = fields.JSONField(default=list)
    created_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    last_used_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)
    highest_role = fields.CharField(max_length=6, default=Role.MEMBER.value, db_default=Role.MEMBER.value)

    class Meta:
        table = "access_tokens"
        indexes = [Index(fields=("member_id",), name="ix_access_tokens_member")]
        constraints = [CheckConstraint(name="ck_access_tokens_deadline", check="expires_at > created_at")]


class Counter(Model):
    """A count since `started_at`, shared by all processes (`service.limits`)."""

    key = fields.CharField(primary_key=True, max_length=120)
    started_at = fields.DatetimeField()
    count = fields.IntField()

    class Meta:
        table = "counters"
        indexes = [Index(fields=("started_at",), name="ix_counters_started")]


class AuditEvent(Model):
    """An audit event: its kind, instant, actor and invitation. `details` holds facts, never secrets or sentences.

    `times` and `last_at` count repeated actions of people without an account; `repeat_key` names the event on which they are
    counted (`service.audit`).
    """

    seq = fields.BigIntField(primary_key=True, generated=True)
    id = fields.CharField(max_length=ID, unique=True)
    kind = fields.CharField(max_length=50)
    at = fields.DatetimeField()
    community_id = fields.CharField(max_length=ID, null=True)
    actor_id = fields.CharField(max_length=ID, null=True)
    invitation_id = fields.CharField(max_length=ID, null=True)
    details: fields.Field[dict[str, str]] = fields.JSONField(default=dict)
    times = fields.IntField(default=1, db_default=1)
    last_at = fields.DatetimeField(null=True)
    repeat_key = fields.CharField(max_length=30, null=True)

    class Meta:
        table = "audit_events"
        indexes = [
            Index(fields=("invitation_id", "seq"), name="ix_audit_events_invitation"),
            Index(fields=("community_id", "seq"), name="ix_audit_events_community"),
        ]


__models__ = [
    Member, Identity, Session, Community, Membership, Invitation, MailOrder, Link, FreshLinkRequest, UnsubscribeToken, Flow,
    Block, BlockUndoToken, Suppression, Notification, AccessToken, Counter, AuditEvent,
]  # fmt: skip

# Indexes that Tortoise cannot express, or would rebuild a table for. The migrations create them in SQL.
PARTIAL_INDEXES = (
    "uq_invitations_open", "ix_mail_orders_due", "ix_mail_orders_urgent", "ix_invitations_role", "ix_invitations_delivery",
    "ix_invitations_accepted", "ix_invitations_declined", "ix_invitations_revoked", "ix_invitations_superseded",
    "ix_invitations_open", "ix_invitations_email", "ix_invitations_funnel", "ix_invitations_access_token", "ix_audit_events_page",
    "ix_audit_events_kind", "ix_audit_events_actor", "uq_audit_events_repeat",
)  # fmt: skip

# Keeps docstrings out of the comments of the tables, where a rewording would need a migration.
for _model in __models__:
    _model._meta.table_description = ""  # noqa: SLF001
