"""PostgreSQL keeps records in a partition a month (docs/decisions, "Old records go by the month").

Records are copied once: about a minute for ten million. Gateways keep theirs in their journals meanwhile.
"""

from django.db import migrations

TABLE = "metering_usagerecord"
OLD = f"{TABLE}_old"


def split(apps, schema_editor):
    """Put every month that there are records of into a partition of its own."""
    if schema_editor.connection.vendor != "postgresql":
        return
    _replace(apps, schema_editor, "PARTITION BY RANGE (timestamp)", 'PRIMARY KEY ("id", "timestamp")')


def join(apps, schema_editor):
    """Put all months into one table again."""
    if schema_editor.connection.vendor != "postgresql":
        return
    _replace(apps, schema_editor, "", 'PRIMARY KEY ("id")')


def _replace(apps, schema_editor, how, key):
    model = apps.get_model("metering", "UsageRecord")
    run = schema_editor.execute
    run(f"ALTER TABLE {TABLE} RENAME TO {OLD}")
    run(f"CREATE TABLE {TABLE} (LIKE {OLD} INCLUDING DEFAULTS) {how}")
    if how:
        run(f"CREATE TABLE {TABLE}_others PARTITION OF {TABLE} DEFAULT")
        for start, end in _months(schema_editor):
            span = f"FROM ('{start:%Y-%m-%d} 00:00:00Z') TO ('{end:%Y-%m-%d} 00:00:00Z')"
            run(f"CREATE TABLE {TABLE}_{start:%Y_%m} PARTITION OF {TABLE} FOR VALUES {span}")
    run(f"INSERT INTO {TABLE} SELECT * FROM {OLD}")
    run(f"DROP TABLE {OLD}")
    # Indexes after the rows, which is quicker, and once the names of the old ones are free.
    run(f"ALTER TABLE {TABLE} ADD {key}")
    for index in model._meta.indexes:
        schema_editor.add_index(model, index)


def _months(schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT start, start + interval '1 month' FROM (SELECT DISTINCT "
            f"date_trunc('month', timestamp AT TIME ZONE 'UTC') AS start FROM {OLD}) AS months ORDER BY start"
        )
        return cursor.fetchall()


class Migration(migrations.Migration):
    dependencies = [("metering", "0004_kept_since")]
    operations = [migrations.RunPython(split, join)]
