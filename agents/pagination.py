"""Lists of the management API: ``{next, previous, results}``, the newest first."""

from rest_framework.pagination import CursorPagination


class NewestFirst(CursorPagination):
    """Pages that don't shift while rows are added."""

    ordering = ("-created_at", "id")
    page_size_query_param = "page_size"
    max_page_size = 200
