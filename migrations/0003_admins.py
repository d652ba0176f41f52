"""Indexes for the searches of admins, and access tokens. All indexes are plain SQL, valid on both engines."""

from typing import Any

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint

from service.database import CreateModel

_OPEN = "accepted_at IS NULL AND declined_at IS NULL AND revoked_at IS NULL AND superseded_at IS NULL"

# A page of invitations scans one of these, newest first, for each single condition.
_INDEXES = {
    "ix_invitations_role": "invitations (community_id, role, created_at, id)",
    "ix_invitations_delivery": "invitations (community_id, delivery, created_at, id)",
    "ix_invitations_accepted": "invitations (community_id, created_at, id) WHERE accepted_at IS NOT NULL",
    "ix_invitations_declined": "invitations (community_id, created_at, id) WHERE declined_at IS NOT NULL",
    "ix_invitations_revoked": "invitations (community_id, created_at, id) WHERE revoked_at IS NOT NULL",
    "ix_invitations_superseded": "invitations (community_id, created_at, id) WHERE superseded_at IS NOT NULL",
    "ix_invitations_open": f"invitations (community_id, days, created_at, id) WHERE {_OPEN}",
    "ix_audit_events_page": "audit_events (community_id, at, seq)",
    "ix_audit_events_kind": "audit_events (community_id, kind, at, seq)",
    "ix_audit_events_actor": "audit_events (community_id, actor_id, at, seq)",
}

# Without the extension, or the right to create it, a search by a part of an address reads the community's rows.
_TRIGRAMS = """
DO $do$ BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX ix_invitations_email_parts ON invitations USING gin (email gin_trgm_ops);
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'pg_trgm is not available: searching invitations by a part of an address has no index.';
END $do$
"""


async def _index_addresses(_: Any, schema_editor: Any) -> None:
    if schema_editor.DIALECT == "postgres":
        await schema_editor.client.execute_script(_TRIGRAMS)


async def _drop_addresses(_: Any, schema_editor: Any) -> None:
    await schema_editor.client.execute_script("DROP INDEX IF EXISTS ix_invitations_email_parts")


class Migration(migrations.Migration):
    dependencies = [("guestlist", "0002_delivery")]

    operations = [
        ops.AddField(model_name="Invitation", name="days", field=fields.SmallIntField(null=True)),
        CreateModel(
            name="AccessToken",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=40)),
                (
                    "member",
                    fields.ForeignKeyField(
                        "guestlist.Member",
                        source_field="member_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="access_tokens",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("name", fields.CharField(max_length=100)),
                ("digest", fields.CharField(unique=True, max_length=64)),
                ("scopes", fields.JSONField(default=list, encoder=JSON_DUMPS, decoder=loads)),
                ("community_ids", fields.JSONField(default=list, encoder=JSON_DUMPS, decoder=loads)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("last_used_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("revoked_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "access_tokens",
                "app": "guestlist",
                "constraints": [CheckConstraint(check="expires_at > created_at", name="ck_access_tokens_deadline")],
                "indexes": [Index(fields=["member_id"], name="ix_access_tokens_member")],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        *[
            ops.RunSQL(f"CREATE INDEX {name} ON {columns}", reverse_sql=f"DROP INDEX {name}")
            for name, columns in _INDEXES.items()
        ],
        ops.RunPython(_index_addresses, _drop_addresses),
    ]
