"""When an invitation was first delivered and first opened: facts of its row, and the index that the funnel reads."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

_BACKFILL = """
UPDATE invitations SET
    first_delivered_at = COALESCE((SELECT min(e.at) FROM audit_events e
        WHERE e.invitation_id = invitations.id AND e.kind = 'invitation.delivered'), delivered_at),
    opened_at = (SELECT min(e.at) FROM audit_events e
        WHERE e.invitation_id = invitations.id AND e.kind = 'invitation.sign_in_started')
WHERE id IN (SELECT e.invitation_id FROM audit_events e
        WHERE e.kind IN ('invitation.delivered', 'invitation.sign_in_started'))
    OR delivered_at IS NOT NULL
"""


class Migration(migrations.Migration):
    dependencies = [("guestlist", "0008_access_token_ceiling")]

    operations = [
        ops.AddField(model_name="Invitation", name="first_delivered_at", field=fields.DatetimeField(null=True)),
        ops.AddField(model_name="Invitation", name="opened_at", field=fields.DatetimeField(null=True)),
        ops.RunSQL(_BACKFILL, reverse_sql=""),
        ops.RunSQL(
            "CREATE INDEX ix_invitations_funnel ON invitations"
            " (community_id, created_at, first_delivered_at, opened_at, accepted_at)",
            reverse_sql="DROP INDEX ix_invitations_funnel",
        ),
    ]
