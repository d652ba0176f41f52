"""The outbox carries notices, also to accounts. A block names its author, and has a token that lifts it.

SQLite alters no constraint, and dropping a table cascades to its children. The outbox is therefore built again by hand:
the rows below it are set aside first and put back afterwards, all in the migration's transaction.
"""

from typing import Any

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint

from service.database import CreateModel, StateOnly

_CHECKS = {
    "ck_mail_orders_kind": "kind IN ('invitation', 'fresh_link', 'code', 'notice')",
    "ck_mail_orders_notice": "(kind = 'notice') = (notice IS NOT NULL)",
    "ck_mail_orders_invitation": "kind = 'notice' OR invitation_id IS NOT NULL",
    "ck_mail_orders_generation": "(invitation_id IS NULL) = (generation IS NULL)",
    "ck_mail_orders_recipient": "invitation_id IS NOT NULL OR member_id IS NOT NULL",
}

_REFERENCE = "FOREIGN KEY (member_id) REFERENCES members (id) ON DELETE RESTRICT"
_POSTGRES = (
    "ALTER TABLE mail_orders ALTER COLUMN invitation_id DROP NOT NULL",
    "ALTER TABLE mail_orders ALTER COLUMN generation DROP NOT NULL",
    "ALTER TABLE mail_orders ADD COLUMN notice VARCHAR(40)",
    "ALTER TABLE mail_orders ADD COLUMN facts JSONB",
    "ALTER TABLE mail_orders ADD COLUMN email VARCHAR(254)",
    "ALTER TABLE mail_orders ADD COLUMN member_id VARCHAR(40)",
    f"ALTER TABLE mail_orders ADD CONSTRAINT fk_mail_orders_member {_REFERENCE}",
    "ALTER TABLE mail_orders DROP CONSTRAINT ck_mail_orders_kind",
    *(f"ALTER TABLE mail_orders ADD CONSTRAINT {name} CHECK ({check})" for name, check in _CHECKS.items()),
)

# Each CHECK constraint has its own line, so that the comparison with the database finds its name.
_TABLE = (
    """CREATE TABLE "mail_orders" (
    "id" VARCHAR(40) NOT NULL PRIMARY KEY,
    "kind" VARCHAR(10) NOT NULL,
    "notice" VARCHAR(40),
    "facts" JSON,
    "generation" INT,
    "flow_id" VARCHAR(40),
    "created_at" TIMESTAMP NOT NULL,
    "due_at" TIMESTAMP NOT NULL,
    "attempt" INT NOT NULL,
    "tries" SMALLINT NOT NULL DEFAULT 0,
    "delivery" VARCHAR(10),
    "sent_at" TIMESTAMP,
    "failed_at" TIMESTAMP,
    "cancelled_at" TIMESTAMP,
    "message_id" VARCHAR(200),
    "email" VARCHAR(254),
    "invitation_id" VARCHAR(40) REFERENCES "invitations" ("id") ON DELETE CASCADE,
    "member_id" VARCHAR(40) REFERENCES "members" ("id") ON DELETE RESTRICT,
"""
    + ",\n".join(f'    CONSTRAINT "{name}" CHECK ({check})' for name, check in _CHECKS.items())
    + "\n)"
)
_COPIED = (
    "id, kind, generation, flow_id, created_at, due_at, attempt, tries, delivery, sent_at, failed_at, cancelled_at,"
    " message_id, invitation_id"
)
_SQLITE = (
    "CREATE TABLE kept_flows AS SELECT * FROM flows WHERE link_id IS NOT NULL",
    "CREATE TABLE kept_links AS SELECT * FROM links",
    "CREATE TABLE kept_orders AS SELECT * FROM mail_orders",
    "DROP TABLE mail_orders",
    _TABLE,
    f"INSERT INTO mail_orders ({_COPIED}) SELECT {_COPIED} FROM kept_orders",  # noqa: S608 -- constants
    "INSERT INTO links SELECT * FROM kept_links",
    "INSERT INTO flows SELECT * FROM kept_flows",
    "DROP TABLE kept_flows",
    "DROP TABLE kept_links",
    "DROP TABLE kept_orders",
)


async def _widen(_: Any, schema_editor: Any) -> None:
    client = schema_editor.client
    if schema_editor.DIALECT == "postgres":
        for statement in _POSTGRES:
            await client.execute_query(statement)
        return
    indexes = await client.execute_query_dict(
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'mail_orders' AND sql IS NOT NULL"
    )
    for statement in (*_SQLITE, *(row["sql"] for row in indexes)):
        await client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("guestlist", "0005_invited_before")]

    operations = [
        ops.RunPython(_widen),
        ops.RunSQL("CREATE INDEX ix_mail_orders_member ON mail_orders (member_id)", reverse_sql=ops.RunSQL.noop),
        StateOnly(
            ops.AddField(model_name="MailOrder", name="notice", field=fields.CharField(null=True, max_length=40)),
            ops.AddField(
                model_name="MailOrder",
                name="facts",
                field=fields.JSONField(null=True, encoder=JSON_DUMPS, decoder=loads),
            ),
            ops.AddField(model_name="MailOrder", name="email", field=fields.CharField(null=True, max_length=254)),
            ops.AddField(
                model_name="MailOrder",
                name="member",
                field=fields.ForeignKeyField(
                    "guestlist.Member",
                    source_field="member_id",
                    null=True,
                    db_constraint=True,
                    to_field="id",
                    related_name="mail_orders",
                    on_delete=OnDelete.RESTRICT,
                ),
            ),
            ops.AlterField(
                model_name="MailOrder",
                name="invitation",
                field=fields.ForeignKeyField(
                    "guestlist.Invitation",
                    source_field="invitation_id",
                    null=True,
                    db_constraint=True,
                    to_field="id",
                    related_name="mail_orders",
                    on_delete=OnDelete.CASCADE,
                ),
            ),
            ops.AlterField(model_name="MailOrder", name="generation", field=fields.IntField(null=True)),
            ops.AddIndex(model_name="MailOrder", index=Index(fields=["member_id"], name="ix_mail_orders_member")),
            ops.RemoveConstraint(model_name="MailOrder", name="ck_mail_orders_kind"),
            *[
                ops.AddConstraint(model_name="MailOrder", constraint=CheckConstraint(check=check, name=name))
                for name, check in _CHECKS.items()
            ],
        ),
        # The database's default is for existing blocks, and for those of the previous release.
        ops.AddField(
            model_name="Block", name="made_by", field=fields.CharField(max_length=10, default="link", db_default="link")
        ),
        ops.AddField(model_name="Block", name="invitation_id", field=fields.CharField(null=True, max_length=40)),
        CreateModel(
            name="BlockUndoToken",
            fields=[
                ("digest", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                (
                    "block",
                    fields.ForeignKeyField(
                        "guestlist.Block",
                        source_field="block_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="undo_tokens",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("expires_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "block_undo_tokens",
                "app": "guestlist",
                "indexes": [
                    Index(fields=["block_id"], name="ix_block_undo_tokens_block"),
                    Index(fields=["expires_at"], name="ix_block_undo_tokens_expires"),
                ],
                "pk_attr": "digest",
            },
            bases=["Model"],
        ),
    ]
