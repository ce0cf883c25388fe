"""The addresses of pages about invoices."""

from django.urls import path

from billing import views

app_name = "billing"

urlpatterns = [
    path("billing/", views.billing, name="billing"),
    path("billing/what-if/", views.what_if, name="what_if"),
    path("billing/details/", views.details, name="details"),
    path("billing/invoices/<uuid:invoice_id>/", views.invoice, name="invoice"),
    path("billing/invoices/<uuid:invoice_id>/pdf/", views.pdf, name="pdf"),
    path("billing/invoices/<uuid:invoice_id>/csv/", views.csv, name="csv"),
    path("billing/invoices/<uuid:invoice_id>/lines/<uuid:line_id>/", views.line, name="line"),
    path("billing/credit-notes/<uuid:note_id>/pdf/", views.credit_note, name="credit_note"),
]
