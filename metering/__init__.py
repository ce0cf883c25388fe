"""The token meter: usage, as fact."""
