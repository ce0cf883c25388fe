"""One row per provider: who speaks which way, with which quirks."""

from typing import Final

from llm.providers.anthropic import Anthropic
from llm.providers.base import Provider
from llm.providers.openai_compatible import OpenAICompatible

PROVIDERS: Final[dict[str, Provider]] = {
    "openai": OpenAICompatible(responses=True),
    "anthropic": Anthropic(),
    "minimax": OpenAICompatible(),
    "groq": OpenAICompatible(responses=True),
    # Refuses `stream_options` with 422, and reports usage in its last chunk unasked.
    "mistral": OpenAICompatible(usage_option=False),
    "openrouter": OpenAICompatible(responses=True),
    "custom": OpenAICompatible(),
    "echo": OpenAICompatible(responses=True),
}
