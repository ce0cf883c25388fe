"""A program that uses the management API."""

from typing import Any

from django.test import Client

from agents import services
from tests.conftest import Person

JSON = "application/json"


class Program:
    """Speaks JSON with a workspace token."""

    def __init__(self, token: str) -> None:
        self._client = Client(headers={"authorization": f"Bearer {token}"})

    def get(self, path: str, **query: Any) -> Any:
        return self._client.get(f"/api/v1/{path}", query)

    def post(self, path: str, body: Any = None) -> Any:
        return self._client.post(f"/api/v1/{path}", body or {}, content_type=JSON)

    def patch(self, path: str, body: Any) -> Any:
        return self._client.patch(f"/api/v1/{path}", body, content_type=JSON)

    def delete(self, path: str) -> Any:
        return self._client.delete(f"/api/v1/{path}")


def program_of(person: Person) -> Program:
    _token, secret = services.create_workspace_token(workspace=person.workspace, by=person.user, name="CI")
    return Program(secret.reveal())
