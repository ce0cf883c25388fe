"""Every address that Django answers. The gateway's (``/v1``) are in ``llm.asgi``."""

from django.contrib import admin
from django.urls import include, path

from agents.views.addresses import addresses
from agents.views.front import language
from vutler.health import healthz, readyz
from vutler.scrape import metrics

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("accounts/email/", addresses, name="account_email"),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include(("vutler.api", "api"))),
    path("admin/", admin.site.urls),
    path("language/", language, name="set_language"),
    path("", include("agents.urls")),
    path("", include("metering.urls")),
    path("", include("billing.urls")),
    path("", include("llm.urls")),
    path("", include("custody.urls")),
]
