"""Django's page about an error, which it shows with DEBUG and mails to ADMINS: where it broke, not on what."""

import re
from collections.abc import ItemsView
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter


class QuietReporterFilter(SafeExceptionReporterFilter):
    """Shows the types of variables and the names of form fields. Keys, tokens and prompts pass through both.

    Of settings it hides, beside what Django does, the addresses of databases and queues: they hold passwords.
    """

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|REDIS_URL|BROKER_URL|MONGODB_URL", re.IGNORECASE
    )

    def is_active(self, request: HttpRequest | None) -> bool:  # noqa: ARG002
        """Filter with DEBUG as well: a page is easily shared."""
        return True

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        """Return what was sent by its fields' names."""
        return dict.fromkeys(request.POST, self.cleansed_substitute) if request else {}

    def get_traceback_frame_variables(
        self,
        request: HttpRequest | None,  # noqa: ARG002
        tb_frame: FrameType,
    ) -> ItemsView[str, Any]:
        """Return the variables of a frame by name and type."""
        return {name: type(value) for name, value in tb_frame.f_locals.items()}.items()
