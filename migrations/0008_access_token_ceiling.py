"""The highest role that an access token may invite to, and the token that an invitation was made with."""

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
        # Only to find the invitations of one token, few of all: sessions make most.
        ops.RunSQL(
            "CREATE INDEX ix_invitations_access_token ON invitations (access_token_id) WHERE access_token_id IS NOT NULL",
            reverse_sql="DROP INDEX ix_invitations_access_token",
        ),
    ]
