"""Vutler LLM: feeds hosted agents language models, counts what they use and bills it."""
