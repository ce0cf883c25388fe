"""Vutler LLM: feeds hosted agents language models, counts what they use and bills it."""

from vutler.celery import app as celery_app

__all__ = ["celery_app"]
