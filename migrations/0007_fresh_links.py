"""Fresh links that disturb nobody: events that are counted instead of repeated."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


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
    ]
