"""The routes of llm-strategy, "Pricing Tiers", in product's order. Staff can change them in the admin."""

from django.db import migrations

ROUTES = {
    "economy": [("minimax", "MiniMax-M2.5"), ("mistral", "mistral-small-latest")],
    "standard": [("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-4-5")],
    "premium": [("anthropic", "claude-sonnet-4-20250514"), ("openai", "gpt-4o")],
}


def lay(apps, schema_editor):
    route = apps.get_model("llm", "Route")
    for tier, ways in ROUTES.items():
        for position, (provider, model) in enumerate(ways, start=1):
            route.objects.get_or_create(tier=tier, position=position, defaults={"provider": provider, "model": model})


class Migration(migrations.Migration):
    dependencies = [("llm", "0001_initial")]
    operations = [migrations.RunPython(lay, migrations.RunPython.noop)]
