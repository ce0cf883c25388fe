"""The addresses of pages about usage."""

from django.urls import path

from metering import views

app_name = "metering"

urlpatterns = [
    path("usage/", views.usage, name="usage"),
    path("usage/<uuid:agent_id>/", views.agent, name="records"),
    path("usage/<uuid:agent_id>/records.csv", views.export, name="export"),
    path("usage/notices/<int:notice_id>/dismiss/", views.dismiss, name="dismiss"),
]
