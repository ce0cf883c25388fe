"""Reading what the management API is sent."""

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class ShallowJSONParser(JSONParser):
    """Reads JSON, and calls nesting that Python can't follow an error of the sender's."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> dict[str, Any]:
        """Return the body's value.

        Raises:
            ParseError: for a body that isn't JSON.
        """
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError(_("The request's JSON is nested too deeply.")) from None
