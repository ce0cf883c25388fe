"""Alerts that a workspace sets up: what is watched, who is told, and what became of telling them."""
