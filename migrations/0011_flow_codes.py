"""The sentence of a flow as a code with its facts; earlier rows keep their sentence in message."""

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.data import JSON_DUMPS
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("guestlist", "0010_delivery_codes")]

    operations = [
        ops.AddField(model_name="Flow", name="message_code", field=fields.CharField(null=True, max_length=60)),
        ops.AddField(
            model_name="Flow",
            name="message_facts",
            field=fields.JSONField(null=True, encoder=JSON_DUMPS, decoder=loads),
        ),
    ]
