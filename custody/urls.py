"""The addresses of pages about a workspace's data."""

from django.urls import path

from custody import views

app_name = "custody"

urlpatterns = [
    path("settings/data/", views.data, name="data"),
    path("settings/data/download/", views.download, name="download"),
    path("settings/data/delete/", views.delete, name="delete"),
]
