"""The addresses of pages about reaching providers."""

from django.urls import path

from llm import feedback_views, views
from llm.compare import views as compare
from llm.experiments import views as experiments

app_name = "llm"

urlpatterns = [
    path("experiments/", experiments.experiments, name="experiments"),
    path("experiments/new/", experiments.new, name="new_experiment"),
    path("experiments/<uuid:experiment_id>/", experiments.experiment, name="experiment"),
    path("experiments/<uuid:experiment_id>/pause/", experiments.pause, name="pause_experiment"),
    path("experiments/<uuid:experiment_id>/resume/", experiments.resume, name="resume_experiment"),
    path("experiments/<uuid:experiment_id>/end/", experiments.end, name="end_experiment"),
    path("experiments/<uuid:experiment_id>/adopt/<uuid:arm_id>/", experiments.adopt, name="adopt_arm"),
    path("experiments/<uuid:experiment_id>/delete/", experiments.delete, name="delete_experiment"),
    path("agents/<uuid:agent_id>/check-key/", views.check_agent_key, name="check_key"),
    path("keys/<uuid:key_id>/check/", views.check_saved_key, name="check_saved_key"),
    path("usage/requests/<uuid:request_id>/thumb/", feedback_views.thumb, name="thumb"),
    path("compare/", compare.compare, name="compare"),
    path("compare/prompts/<uuid:set_id>/delete/", compare.delete_prompts, name="delete_prompts"),
    path("compare/<uuid:comparison_id>/", compare.comparison, name="comparison"),
    path("compare/<uuid:comparison_id>/ask/", compare.ask, name="ask"),
    path("compare/<uuid:comparison_id>/vote/", compare.vote, name="vote"),
    path("compare/<uuid:comparison_id>/names/", compare.show_names, name="show_names"),
    path("compare/<uuid:comparison_id>/delete/", compare.delete_comparison, name="delete_comparison"),
]
