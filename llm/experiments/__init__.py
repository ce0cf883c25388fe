"""Experiments: an agent's traffic divided between ways to answer it, and what came of each."""
