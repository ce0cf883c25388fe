"""Adapters: one file a way of speaking, none knowing of another."""
