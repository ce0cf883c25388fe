"""``manage.py create_workspace``: a workspace with its owner and a token for the management API."""

import json
import secrets
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import transaction

from agents import services
from agents.models import User, Workspace

BY = "manage.py create_workspace"


class Command(BaseCommand):
    help = (
        "Makes a workspace and a token for the management API, and prints both. The owner is made too unless "
        "somebody has that address; without --password they get one, which is printed this once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the workspace is called")
        parser.add_argument("--owner", required=True, metavar="EMAIL", help="whose it is")
        parser.add_argument("--password", help="of a new owner")
        parser.add_argument("--json", action="store_true", help="print JSON, for a program to read")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            made = _make(name=options["name"], email=options["owner"], password=options["password"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        if options["json"]:
            self.stdout.write(json.dumps(made))
            return
        for name, value in made.items():
            self.stdout.write(f"{name.replace('_', ' '):14} {value}")


@transaction.atomic
def _make(*, name: str, email: str, password: str | None) -> dict[str, str]:
    """Make what isn't there yet, all of it or nothing; return what to print."""
    name, email = name.strip(), email.strip().lower()
    Workspace(name=name).clean_fields()
    validate_email(email)
    owner = User.objects.filter(email__iexact=email).first()
    printed: dict[str, str] = {}
    if owner is None:
        new_password = password or secrets.token_urlsafe(15)
        owner = _make_owner(email, new_password)
        printed = {} if password else {"password": new_password}
    elif not owner.is_active:
        raise ValidationError(f"{owner} has an account that is closed.")
    elif password:
        raise ValidationError(f"{owner} has an account already: leave --password out.")
    workspace = services.create_workspace(name=name, owner=owner)
    token, secret = services.create_workspace_token(workspace=workspace, by=BY, name="create_workspace")
    return {
        "workspace_id": str(workspace.pk),
        "workspace": workspace.name,
        "owner": owner.email,
        **printed,
        "token_id": str(token.pk),
        "token": secret.reveal(),
    }


def _make_owner(email: str, password: str) -> User:
    validate_password(password, User(email=email))
    return User.objects.create_user(email, password)
