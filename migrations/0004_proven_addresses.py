"""Proved addresses of sign-ins: only these reserve an address for an account."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("guestlist", "0003_admins")]

    operations = [
        # The database's default is for existing sign-ins, and for those of the previous release.
        ops.AddField(
            model_name="Identity", name="email_proven", field=fields.BooleanField(default=False, db_default=False)
        )
    ]
