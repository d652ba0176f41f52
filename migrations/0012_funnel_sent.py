"""The index that the funnel reads also has the instant when an invitation's mail was sent."""

from tortoise import migrations
from tortoise.migrations import operations as ops

_INDEX = "CREATE INDEX ix_invitations_funnel ON invitations (community_id, created_at, {columns})"
_BEFORE = _INDEX.format(columns="first_delivered_at, opened_at, accepted_at")
_AFTER = _INDEX.format(columns="last_sent_at, first_delivered_at, opened_at, accepted_at")


class Migration(migrations.Migration):
    dependencies = [("guestlist", "0011_flow_codes")]

    operations = [
        ops.RunSQL("DROP INDEX ix_invitations_funnel", reverse_sql=_BEFORE),
        ops.RunSQL(_AFTER, reverse_sql="DROP INDEX ix_invitations_funnel"),
    ]
