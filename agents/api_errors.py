"""What the management API says when a request can't be done as asked."""

from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, RequestDataTooBig
from django.core.exceptions import ValidationError as ModelValidationError
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, status, views
from rest_framework.response import Response
from rest_framework.settings import api_settings


class TooLarge(exceptions.APIException):
    """The body is over what Django takes (``DATA_UPLOAD_MAX_MEMORY_SIZE``)."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "request_too_large"
    default_detail = _("The request's body is too large.")


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn what was raised into DRF's answer; a service's ``ValidationError`` is a 400, by field."""
    if isinstance(error, ModelValidationError):
        error = exceptions.ValidationError(_by_field(error))
    elif isinstance(error, RequestDataTooBig):
        error = TooLarge()
    return views.exception_handler(error, context)


def _by_field(error: ModelValidationError) -> dict[str, list[str]]:
    nowhere = str(api_settings.NON_FIELD_ERRORS_KEY)
    if not hasattr(error, "error_dict"):
        return {nowhere: error.messages}
    return {nowhere if name == NON_FIELD_ERRORS else name: said for name, said in error.message_dict.items()}
