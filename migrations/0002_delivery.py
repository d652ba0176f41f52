"""The delivery of each mail, failed tries, and processed notifications."""

from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from service.database import CreateModel


class Migration(migrations.Migration):
    dependencies = [("guestlist", "0001_initial")]

    operations = [
        # The database's default is for existing orders, and for those of the previous release.
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
        # Mails that a person waits for are sent before waiting invitations.
        ops.RunSQL(
            "CREATE INDEX ix_mail_orders_urgent ON mail_orders (due_at) WHERE kind <> 'invitation'"
            " AND sent_at IS NULL AND failed_at IS NULL AND cancelled_at IS NULL",
            reverse_sql="DROP INDEX ix_mail_orders_urgent",
        ),
    ]
