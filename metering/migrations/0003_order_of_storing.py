"""PostgreSQL counts records as they are stored; SQLite, with one writer at a time, needs no counter for that."""

from django.db import migrations

SEQUENCE = "metering_usagerecord_order"


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"CREATE SEQUENCE {SEQUENCE}")


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP SEQUENCE {SEQUENCE}")


class Migration(migrations.Migration):
    dependencies = [("metering", "0002_rollups")]
    operations = [migrations.RunPython(create, drop)]
