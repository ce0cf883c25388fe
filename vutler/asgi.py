"""Where an ASGI server finds the application: ``vutler.asgi:application``."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vutler.settings")
django.setup()

from vutler.application import Application  # noqa: E402

application = Application()
