"""Which addresses of sign-ins were proved: only those keep an address for an account."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("guestlist", "0003_admins")]

    operations = [
        # The database's own default is for the sign-ins that are there, and for those of the release before.
        ops.AddField(
            model_name="Identity", name="email_proven", field=fields.BooleanField(default=False, db_default=False)
        )
    ]
