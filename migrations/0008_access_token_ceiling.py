"""The highest role of an access token's invitations, and the token of an invitation."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("guestlist", "0007_fresh_links")]

    operations = [
        # The database's default is for the tokens that exist, and for those that the previous release creates.
        ops.AddField(
            model_name="AccessToken",
            name="highest_role",
            field=fields.CharField(max_length=6, default="MEMBER", db_default="MEMBER"),
        ),
        ops.AddField(model_name="Invitation", name="access_token_id", field=fields.CharField(null=True, max_length=40)),
        # Finds the invitations of one token. Most invitations come from sessions, and are not in the index.
        ops.RunSQL(
            "CREATE INDEX ix_invitations_access_token ON invitations (access_token_id) WHERE access_token_id IS NOT NULL",
            reverse_sql="DROP INDEX ix_invitations_access_token",
        ),
    ]
