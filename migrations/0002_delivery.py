"""What became of each mail, the tries that failed, and which notifications were taken in already."""

from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from service.database import CreateModel


class Migration(migrations.Migration):
    dependencies = [("guestlist", "0001_initial")]

    operations = [
        # The database's own default is for the orders that are there, and for those of the release before.
        ops.AddField(model_name="MailOrder", name="tries", field=fields.SmallIntField(default=0, db_default=0)),
        ops.AddField(model_name="MailOrder", name="delivery", field=fields.CharField(null=True, max_length=10)),
        CreateModel(
            name="Notification",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=100)),
                ("received_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "notifications",
                "app": "guestlist",
                "indexes": [Index(fields=["received_at"], name="ix_notifications_received")],
                "pk_attr": "id",
            },
            bases=["Model"],
        ),
        # What somebody waits for at a screen overtakes any number of waiting invitations.
        ops.RunSQL(
            "CREATE INDEX ix_mail_orders_urgent ON mail_orders (due_at) WHERE kind <> 'invitation'"
            " AND sent_at IS NULL AND failed_at IS NULL AND cancelled_at IS NULL",
            reverse_sql="DROP INDEX ix_mail_orders_urgent",
        ),
    ]
