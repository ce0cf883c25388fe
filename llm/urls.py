"""The addresses of pages about reaching providers."""

from django.urls import path

from llm import views

app_name = "llm"

urlpatterns = [
    path("agents/<uuid:agent_id>/check-key/", views.check_agent_key, name="check_key"),
    path("keys/<uuid:key_id>/check/", views.check_saved_key, name="check_saved_key"),
]
