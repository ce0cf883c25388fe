from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0003_order_of_storing")]

    operations = [
        migrations.CreateModel(
            name="KeptSince",
            fields=[
                ("workspace_id", models.UUIDField(primary_key=True, serialize=False)),
                ("since", models.DateTimeField(db_index=True)),
            ],
        ),
    ]
