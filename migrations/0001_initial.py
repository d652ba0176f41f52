"""The tables. Partial indexes are plain SQL, valid on both engines, because Tortoise omits them or cannot express them."""

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint

from service.database import CreateModel


class Migration(migrations.Migration):
    initial = True

    operations = [
        CreateModel(
            name="AuditEvent",
            fields=[
                ("seq", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("id", fields.CharField(unique=True, max_length=40)),
                ("kind", fields.CharField(max_length=50)),
                ("at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("community_id", fields.CharField(null=True, max_length=40)),
                ("actor_id", fields.CharField(null=True, max_length=40)),
                ("invitation_id", fields.CharField(null=True, max_length=40)),
                ("details", fields.JSONField(default=dict, encoder=JSON_DUMPS, decoder=loads)),
            ],
            options={
                "table": "audit_events",
                "app": "guestlist",
                "indexes": [
                    Index(fields=["invitation_id", "seq"], name="ix_audit_events_invitation"),
                    Index(fields=["community_id", "seq"], name="ix_audit_events_community"),
                ],
                "pk_attr": "seq",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="Community",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                ("name", fields.CharField(max_length=100)),
                ("locale", fields.CharField(null=True, max_length=35)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("link_minutes", fields.SmallIntField(null=True)),
                ("invitation_days", fields.SmallIntField(null=True)),
                ("allowed_email_domains", fields.JSONField(default=list, encoder=JSON_DUMPS, decoder=loads)),
                ("seat_limit", fields.IntField(null=True)),
            ],
            options={
                "table": "communities",
                "app": "guestlist",
                "constraints": [
                    CheckConstraint(check="link_minutes BETWEEN 5 AND 15", name="ck_communities_link_minutes"),
                    CheckConstraint(check="invitation_days BETWEEN 1 AND 30", name="ck_communities_invitation_days"),
                    CheckConstraint(check="seat_limit >= 1", name="ck_communities_seat_limit"),
                ],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="Block",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                (
                    "community",
                    fields.ForeignKeyField(
                        "guestlist.Community",
                        source_field="community_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="blocks",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("email", fields.CharField(max_length=254)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "blocks",
                "app": "guestlist",
                "unique_together": (("community_id", "email"),),
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="Counter",
            fields=[
                ("key", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=120)),
                ("started_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("count", fields.IntField()),
            ],
            options={
                "table": "counters",
                "app": "guestlist",
                "indexes": [Index(fields=["started_at"], name="ix_counters_started")],
                "pk_attr": "key",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="Member",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                ("name", fields.CharField(null=True, max_length=100)),
                ("email", fields.CharField(null=True, max_length=254)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("erased_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "members",
                "app": "guestlist",
                "indexes": [Index(fields=["email"], name="ix_members_email")],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="Identity",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                (
                    "member",
                    fields.ForeignKeyField(
                        "guestlist.Member",
                        source_field="member_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="identities",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("provider_id", fields.CharField(max_length=32)),
                ("issuer", fields.CharField(max_length=500)),
                ("subject", fields.CharField(max_length=255)),
                ("email", fields.CharField(null=True, max_length=254)),
                ("linked_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("last_used_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "identities",
                "app": "guestlist",
                "unique_together": (("issuer", "subject"),),
                "indexes": [
                    Index(fields=["member_id"], name="ix_identities_member"),
                    Index(fields=["email"], name="ix_identities_email"),
                ],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="Invitation",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                (
                    "community",
                    fields.ForeignKeyField(
                        "guestlist.Community",
                        source_field="community_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="invitations",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("email", fields.CharField(max_length=254)),
                ("role", fields.CharField(max_length=6)),
                ("message", fields.CharField(null=True, max_length=1000)),
                ("locale", fields.CharField(null=True, max_length=35)),
                (
                    "inviter",
                    fields.ForeignKeyField(
                        "guestlist.Member",
                        source_field="inviter_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="invited",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "for_member",
                    fields.ForeignKeyField(
                        "guestlist.Member",
                        source_field="for_member_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="readmissions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("generation", fields.IntField(default=1)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("accepted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "accepted_by",
                    fields.ForeignKeyField(
                        "guestlist.Member",
                        source_field="accepted_by_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="accepted",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("declined_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("revoked_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                (
                    "revoked_by",
                    fields.ForeignKeyField(
                        "guestlist.Member",
                        source_field="revoked_by_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="revoked",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("superseded_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("delivery", fields.CharField(default="QUEUED", max_length=10)),
                ("delivery_reason", fields.CharField(null=True, max_length=500)),
                ("delivery_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("last_sent_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("delivered_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("resent_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("resends", fields.SmallIntField(default=0)),
                ("resends_since_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("proposed_email", fields.CharField(null=True, max_length=254)),
                ("erased_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "invitations",
                "app": "guestlist",
                "constraints": [
                    CheckConstraint(check="role IN ('OWNER', 'ADMIN', 'MEMBER')", name="ck_invitations_role"),
                    CheckConstraint(
                        check="delivery IN ('QUEUED', 'SENT', 'DELAYED', 'DELIVERED', 'BOUNCED', 'COMPLAINED', 'SUPPRESSED', 'FAILED')",
                        name="ck_invitations_delivery",
                    ),
                    CheckConstraint(check="expires_at > created_at", name="ck_invitations_deadline"),
                    CheckConstraint(
                        check="(CASE WHEN accepted_at IS NULL THEN 0 ELSE 1 END) + (CASE WHEN declined_at IS NULL THEN 0 ELSE 1 END) + (CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END) <= 1",
                        name="ck_invitations_one_end",
                    ),
                    CheckConstraint(
                        check="accepted_by_id IS NULL OR accepted_at IS NOT NULL", name="ck_invitations_accepted_by"
                    ),
                ],
                "indexes": [Index(fields=["community_id", "created_at", "id"], name="ix_invitations_page")],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="MailOrder",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                ("kind", fields.CharField(max_length=10)),
                (
                    "invitation",
                    fields.ForeignKeyField(
                        "guestlist.Invitation",
                        source_field="invitation_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="mail_orders",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("generation", fields.IntField()),
                ("flow_id", fields.CharField(null=True, max_length=40)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("due_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("attempt", fields.IntField(default=0)),
                ("sent_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("failed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("cancelled_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("message_id", fields.CharField(null=True, max_length=200)),
            ],
            options={
                "table": "mail_orders",
                "app": "guestlist",
                "constraints": [
                    CheckConstraint(check="kind IN ('invitation', 'fresh_link', 'code')", name="ck_mail_orders_kind")
                ],
                "indexes": [
                    Index(fields=["invitation_id"], name="ix_mail_orders_invitation"),
                    Index(fields=["message_id"], name="ix_mail_orders_message"),
                ],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="Link",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                (
                    "invitation",
                    fields.ForeignKeyField(
                        "guestlist.Invitation",
                        source_field="invitation_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="links",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "mail_order",
                    fields.ForeignKeyField(
                        "guestlist.MailOrder",
                        source_field="mail_order_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="links",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("generation", fields.IntField()),
                ("digest", fields.CharField(unique=True, max_length=64)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("replaced_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "links",
                "app": "guestlist",
                "constraints": [CheckConstraint(check="expires_at > created_at", name="ck_links_deadline")],
                "indexes": [Index(fields=["invitation_id"], name="ix_links_invitation")],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="Membership",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                (
                    "member",
                    fields.ForeignKeyField(
                        "guestlist.Member",
                        source_field="member_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="memberships",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "community",
                    fields.ForeignKeyField(
                        "guestlist.Community",
                        source_field="community_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="memberships",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("role", fields.CharField(max_length=6)),
                ("joined_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "memberships",
                "app": "guestlist",
                "unique_together": (("community_id", "member_id"),),
                "constraints": [
                    CheckConstraint(check="role IN ('OWNER', 'ADMIN', 'MEMBER')", name="ck_memberships_role")
                ],
                "indexes": [
                    Index(fields=["member_id"], name="ix_memberships_member"),
                    Index(fields=["community_id", "joined_at", "id"], name="ix_memberships_page"),
                ],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="Session",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                (
                    "member",
                    fields.ForeignKeyField(
                        "guestlist.Member",
                        source_field="member_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="sessions",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("digest", fields.CharField(unique=True, max_length=64)),
                ("provider_id", fields.CharField(null=True, max_length=32)),
                ("user_agent", fields.CharField(null=True, max_length=300)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("last_seen_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("ended_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "sessions",
                "app": "guestlist",
                "indexes": [
                    Index(fields=["member_id"], name="ix_sessions_member"),
                    Index(fields=["expires_at"], name="ix_sessions_expires"),
                ],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="Flow",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                ("kind", fields.CharField(max_length=13)),
                ("browser_digest", fields.CharField(max_length=64)),
                ("state_digest", fields.CharField(unique=True, max_length=64)),
                ("nonce_digest", fields.CharField(max_length=64)),
                ("code_verifier", fields.CharField(null=True, max_length=128)),
                ("provider_id", fields.CharField(max_length=32)),
                ("return_to", fields.CharField(max_length=2000)),
                (
                    "link",
                    fields.ForeignKeyField(
                        "guestlist.Link",
                        source_field="link_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="flows",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                (
                    "session",
                    fields.ForeignKeyField(
                        "guestlist.Session",
                        source_field="session_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="flows",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("started_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("first_started_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("claimed_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("status", fields.CharField(default="STARTED", max_length=20)),
                ("reason", fields.CharField(null=True, max_length=50)),
                ("message", fields.CharField(null=True, max_length=500)),
                ("issuer", fields.CharField(null=True, max_length=500)),
                ("subject", fields.CharField(null=True, max_length=255)),
                ("signed_in_email", fields.CharField(null=True, max_length=254)),
                ("signed_in_name", fields.CharField(null=True, max_length=100)),
                ("evidence", fields.JSONField(null=True, encoder=JSON_DUMPS, decoder=loads)),
                ("membership_id", fields.CharField(null=True, max_length=40)),
                ("code_digest", fields.CharField(null=True, max_length=64)),
                ("code_expires_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("code_tries_left", fields.SmallIntField(null=True)),
            ],
            options={
                "table": "flows",
                "app": "guestlist",
                "constraints": [
                    CheckConstraint(check="kind IN ('accept', 'sign_in', 'link_identity')", name="ck_flows_kind"),
                    CheckConstraint(check="(kind = 'accept') = (link_id IS NOT NULL)", name="ck_flows_link"),
                    CheckConstraint(check="kind <> 'link_identity' OR session_id IS NOT NULL", name="ck_flows_session"),
                    CheckConstraint(check="code_tries_left BETWEEN 0 AND 5", name="ck_flows_code_tries"),
                ],
                "indexes": [
                    Index(fields=["browser_digest", "started_at"], name="ix_flows_browser"),
                    Index(fields=["link_id"], name="ix_flows_link"),
                    Index(fields=["started_at"], name="ix_flows_started"),
                ],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="Suppression",
            fields=[
                ("email", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=254)),
                ("reason", fields.CharField(max_length=12)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "suppressions",
                "app": "guestlist",
                "constraints": [
                    CheckConstraint(
                        check="reason IN ('bounced', 'complained', 'unsubscribed')", name="ck_suppressions_reason"
                    )
                ],
                "pk_attr": "email",
            },
            bases=["Model"],
        ),
        CreateModel(
            name="UnsubscribeToken",
            fields=[
                ("digest", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                ("email", fields.CharField(max_length=254)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "unsubscribe_tokens",
                "app": "guestlist",
                "indexes": [Index(fields=["expires_at"], name="ix_unsubscribe_tokens_expires")],
                "pk_attr": "digest",
            },
            bases=["Model"],
        ),
        # At most one open invitation per community and address (H084).
        ops.RunSQL(
            "CREATE UNIQUE INDEX uq_invitations_open ON invitations (community_id, email) WHERE accepted_at IS NULL"
            " AND declined_at IS NULL AND revoked_at IS NULL AND superseded_at IS NULL",
            reverse_sql="DROP INDEX uq_invitations_open",
        ),
        # For the worker's search, independent of the number of sent mails.
        ops.RunSQL(
            "CREATE INDEX ix_mail_orders_due ON mail_orders (due_at) WHERE sent_at IS NULL"
            " AND failed_at IS NULL AND cancelled_at IS NULL",
            reverse_sql="DROP INDEX ix_mail_orders_due",
        ),
    ]
