"""The addresses of pages about invoices."""

from django.urls import path

from billing import payment_views, views
from billing.payment_views import leads_to_payment
from billing.webhooks import stripe_webhook

app_name = "billing"

urlpatterns = [
    path("billing/", leads_to_payment(views.billing), name="billing"),
    path("billing/what-if/", views.what_if, name="what_if"),
    path("billing/payment-method/", payment_views.payment_method, name="payment_method"),
    path("billing/payment-method/back/", payment_views.back_from_payment_method, name="back_from_payment_method"),
    path("billing/stripe/webhook/", stripe_webhook, name="stripe_webhook"),
    path("billing/details/", views.details, name="details"),
    path("billing/invoices/<uuid:invoice_id>/", leads_to_payment(views.invoice), name="invoice"),
    path("billing/invoices/<uuid:invoice_id>/pay/", payment_views.pay, name="pay"),
    path("billing/invoices/<uuid:invoice_id>/pdf/", views.pdf, name="pdf"),
    path("billing/invoices/<uuid:invoice_id>/csv/", views.csv, name="csv"),
    path("billing/invoices/<uuid:invoice_id>/lines/<uuid:line_id>/", views.line, name="line"),
    path("billing/credit-notes/<uuid:note_id>/pdf/", views.credit_note, name="credit_note"),
]
