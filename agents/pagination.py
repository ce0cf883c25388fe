"""Lists of the management API: ``{next, previous, results}``, the newest first."""

from typing import Any

from rest_framework.pagination import BasePagination, CursorPagination
from rest_framework.response import Response


class NewestFirst(CursorPagination):
    """Pages that don't shift while rows are added."""

    ordering = ("-created_at", "id")
    page_size_query_param = "page_size"
    max_page_size = 200


class Everything(BasePagination):
    """The form of a page for a list that is short by nature: there is no other page."""

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any]:  # noqa: ARG002
        """Return the whole list."""
        return list(queryset)

    def get_paginated_response(self, data: Any) -> Response:
        """Answer in the form of every list."""
        return Response({"next": None, "previous": None, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe that form."""
        nowhere = {"type": "string", "nullable": True}
        return {
            "type": "object",
            "required": ["results"],
            "properties": {"next": nowhere, "previous": nowhere, "results": schema},
        }
