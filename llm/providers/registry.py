"""One row per provider: who speaks which way, with which quirks."""

from typing import Final

from llm.providers.anthropic import Anthropic
from llm.providers.base import Provider
from llm.providers.openai_compatible import OpenAICompatible
from llm.translate.compatible import Accepts

PROVIDERS: Final[dict[str, Provider]] = {
    "openai": OpenAICompatible(
        responses=True, accepts=Accepts(limit="max_completion_tokens", effort="reasoning", documents=True)
    ),
    "anthropic": Anthropic(),
    "minimax": OpenAICompatible(),
    "groq": OpenAICompatible(responses=True),
    # Refuses `stream_options` with 422, and reports usage in its last chunk unasked.
    "mistral": OpenAICompatible(usage_option=False, accepts=Accepts(user=False)),
    "openrouter": OpenAICompatible(responses=True, accepts=Accepts(effort="all", documents=True, top_k=True)),
    "custom": OpenAICompatible(accepts=Accepts(top_k=True)),
    "echo": OpenAICompatible(responses=True),
}
