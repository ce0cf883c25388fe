"""What each provider does differently, as far as a gateway can notice."""

from typing import Final

import msgspec


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's habits in the OpenAI dialect.

    ``usage`` is where a stream's usage is found: in a chunk of its own when it was asked for (``option``) or always
    (``always``), in the last chunk with choices (``choice``), or in that chunk under ``x_groq``. ``thinks_in``
    is the field in which reasoning is shown, if it is. ``keyless`` servers need no key.
    """

    usage: str = "option"
    takes_stream_options: bool = True
    thinks_in: str = ""
    comments: bool = False
    cost: bool = False
    base_resp: bool = False
    keyless: bool = False
    models: tuple[str, ...] = ("echo-1",)


HABITS: Final = {
    "": Habits(keyless=True),
    "echo": Habits(keyless=True),
    "custom": Habits(keyless=True, thinks_in="reasoning_content", models=("llama3.2", "qwen2.5")),
    "openai": Habits(models=("gpt-4o", "gpt-4o-mini", "o3-mini", "text-embedding-3-small")),
    "anthropic": Habits(models=("claude-sonnet-4-20250514", "claude-haiku-4-5", "claude-opus-4-20250514")),
    "minimax": Habits(usage="choice", thinks_in="reasoning_content", base_resp=True, models=("MiniMax-M2.5",)),
    "groq": Habits(usage="x_groq", thinks_in="reasoning", models=("llama-3.3-70b-versatile",)),
    "mistral": Habits(
        usage="choice",
        takes_stream_options=False,
        models=("mistral-small-latest", "mistral-medium-latest", "mistral-embed"),
    ),
    "openrouter": Habits(
        usage="always",
        thinks_in="reasoning",
        comments=True,
        cost=True,
        models=("openai/gpt-4o-mini", "anthropic/claude-sonnet-4", "meta-llama/llama-3.3-70b-instruct"),
    ),
}
