"""The addresses of pages about usage."""

from django.urls import path

from metering import alert_views, views

app_name = "metering"

urlpatterns = [
    path("usage/", views.usage, name="usage"),
    path("usage/<uuid:agent_id>/", views.agent, name="records"),
    path("usage/<uuid:agent_id>/records.csv", views.export, name="export"),
    path("usage/notices/<int:notice_id>/dismiss/", views.dismiss, name="dismiss"),
    path("alerts/", alert_views.alerts, name="alerts"),
    path("alerts/new/", alert_views.new, name="new_alert"),
    path("alerts/<uuid:alert_id>/", alert_views.alert, name="alert"),
    path("alerts/<uuid:alert_id>/test/", alert_views.test, name="test_alert"),
    path("alerts/<uuid:alert_id>/pause/", alert_views.pause, name="pause_alert"),
    path("alerts/<uuid:alert_id>/resume/", alert_views.resume, name="resume_alert"),
    path("alerts/<uuid:alert_id>/delete/", alert_views.delete, name="delete_alert"),
    path("alerts/notices/<uuid:delivery_id>/dismiss/", alert_views.dismiss, name="dismiss_alert"),
]
