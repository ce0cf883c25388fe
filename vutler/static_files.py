"""Static files, read whole: Django would collect a streamed one in one go under ASGI as well, and warn of it."""

from contextlib import closing
from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]  # it has no types
    """WhiteNoise, without streaming: its files are small, and browsers keep them."""

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        """Answer with a file, with the part of it that was asked for, or with word that it is the same as before."""
        found = static_file.get_response(request.method, request.META)
        body = b""
        if found.file:
            with closing(found.file):
                body = found.file.read()
        answer = HttpResponse(body, status=int(found.status))
        del answer["content-type"]  # WhiteNoise says what it is, where it is anything
        for name, value in found.headers:
            answer[name] = value
        return answer
