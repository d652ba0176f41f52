"""Fresh links that replace no other link: blind requests, and a count of repeats."""

from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from service.database import CreateModel, RemoveField


class Migration(migrations.Migration):
    dependencies = [("guestlist", "0006_notices")]

    operations = [
        ops.AddField(model_name="AuditEvent", name="times", field=fields.IntField(default=1, db_default=1)),
        ops.AddField(
            model_name="AuditEvent",
            name="last_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(model_name="AuditEvent", name="repeat_key", field=fields.CharField(null=True, max_length=30)),
        ops.RunSQL(
            "CREATE UNIQUE INDEX uq_audit_events_repeat ON audit_events (invitation_id, kind, repeat_key)"
            " WHERE repeat_key IS NOT NULL",
            reverse_sql="DROP INDEX uq_audit_events_repeat",
        ),
        RemoveField(model_name="Link", name="replaced_at"),
        CreateModel(
            name="FreshLinkRequest",
            fields=[
                ("digest", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                ("requested_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "fresh_link_requests",
                "app": "guestlist",
                "indexes": [Index(fields=["requested_at"], name="ix_fresh_link_requests_requested")],
                "pk_attr": "digest",
            },
            bases=["Model"],
        ),
    ]
