"""An index of all invitations of a community by address, in any status."""

from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("guestlist", "0004_proven_addresses")]

    operations = [
        ops.RunSQL(
            "CREATE INDEX ix_invitations_email ON invitations (community_id, email, created_at, id)",
            reverse_sql="DROP INDEX ix_invitations_email",
        )
    ]
