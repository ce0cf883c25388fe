"""Every address that Django answers. The gateway's (``/v1``) are in ``llm.asgi``."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]
