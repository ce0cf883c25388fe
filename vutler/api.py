"""Every address of the management API, ``/api/v1``."""

from typing import Any

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView
from drf_spectacular.views import SpectacularSwaggerSplitView as Docs

from agents import api as agents
from billing import api as billing
from llm import api as llm
from llm.experiments import api as experiments
from metering import api as metering

MANY: dict[str, Any] = {"get": "list", "post": "create"}
ONE: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
ONE_TOKEN: dict[str, Any] = {"delete": "destroy"}

urlpatterns = [
    path("agents/", agents.Agents.as_view(MANY), name="agents"),
    path("agents/<str:pk>/", agents.Agents.as_view(ONE), name="agent"),
    path("agents/<str:agent_id>/tokens/", agents.Tokens.as_view(MANY), name="tokens"),
    path("agents/<str:agent_id>/tokens/<str:pk>/", agents.Tokens.as_view(ONE_TOKEN), name="token"),
    path("agents/<str:agent_id>/check-key/", llm.CheckKey.as_view(), name="check_key"),
    path("keys/", agents.Keys.as_view(MANY), name="keys"),
    path("keys/<str:pk>/", agents.Keys.as_view(ONE), name="key"),
    path("experiments/", experiments.Experiments.as_view(MANY), name="experiments"),
    path("experiments/<str:pk>/", experiments.Experiments.as_view(ONE), name="experiment"),
    path("experiments/<str:pk>/results/", experiments.ResultsOf.as_view(), name="experiment_results"),
    path("templates/", agents.Templates.as_view(), name="templates"),
    path("providers/", agents.Providers.as_view(), name="providers"),
    path("tiers/", agents.Tiers.as_view(), name="tiers"),
    path("usage/", metering.Usage.as_view(), name="usage"),
    path("usage/records/", metering.Records.as_view(), name="records"),
    path("what-if/", billing.WhatIf.as_view(), name="what_if"),
    path("alerts/", metering.Alerts.as_view(MANY), name="alerts"),
    path("alerts/deliveries/", metering.Deliveries.as_view(), name="deliveries"),
    path("alerts/<str:pk>/", metering.Alerts.as_view(ONE), name="alert"),
    path("alerts/<str:pk>/test/", metering.Alerts.as_view({"post": "test"}), name="test_alert"),
    path("invoices/", billing.Invoices.as_view(), name="invoices"),
    path("invoices/<str:pk>/", billing.OneInvoice.as_view(), name="invoice"),
    path("invoices/<str:pk>/pdf/", billing.InvoicePdf.as_view(), name="invoice_pdf"),
    path("invoices/<str:pk>/csv/", billing.InvoiceCsv.as_view(), name="invoice_csv"),
    path("invoices/<str:pk>/lines/<str:line>/records/", billing.LineRecords.as_view(), name="line_records"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", Docs.as_view(url_name="api:schema", template_name="vutler/api_docs.html"), name="docs"),
    re_path("", agents.NoSuchAddress.as_view()),
]
