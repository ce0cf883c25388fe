"""Token counts of both dialects, through the meter's disjoint parts.

Anthropic leaves cached tokens out of ``input_tokens``, OpenAI counts them in ``prompt_tokens``; both count reasoning
in the output. Sources: Anthropic's "Prompt caching", OpenAI's "Prompt caching".
"""

from typing import Any

import msgspec

from metering.usage import Usage


class CacheCreation(msgspec.Struct, frozen=True):
    """Tokens written to the cache, by how long they stay."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(msgspec.Struct, frozen=True):
    """What the output was spent on."""

    thinking_tokens: int | None = None


class MessagesUsage(msgspec.Struct, frozen=True):
    """Anthropic's counts, of a whole answer or so far in a stream. Any may be missing."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None


def from_messages(reported: MessagesUsage) -> Usage:
    """Return Anthropic's counts in disjoint parts. Cache writes of unknown length are taken for the 5 minutes' kind."""
    split = reported.cache_creation or CacheCreation()
    for_1h = split.ephemeral_1h_input_tokens or 0
    for_5m = split.ephemeral_5m_input_tokens or 0
    output = reported.output_tokens or 0
    details = reported.output_tokens_details or OutputDetails()
    reasoning = min(details.thinking_tokens or 0, output)
    return Usage(
        input=reported.input_tokens or 0,
        cache_read=reported.cache_read_input_tokens or 0,
        cache_write_5m=max(for_5m, (reported.cache_creation_input_tokens or 0) - for_1h),
        cache_write_1h=for_1h,
        output=output - reasoning,
        reasoning=reasoning,
    )


def later(before: Usage, reported: MessagesUsage) -> Usage:
    """Return the counts after a later report of the same stream.

    Reports are cumulative, but may leave out what an earlier one gave, or say 0; and only the first splits the cache
    writes by length. So each part is the larger of the two, and writes that were split stay split.
    """
    new = from_messages(reported)
    for_1h = max(before.cache_write_1h, new.cache_write_1h)
    reasoning = max(before.reasoning, new.reasoning)
    return Usage(
        input=max(before.input, new.input),
        cache_read=max(before.cache_read, new.cache_read),
        cache_write_5m=max(before.cache_write, new.cache_write) - for_1h,
        cache_write_1h=for_1h,
        output=max(before.tokens_output, new.tokens_output) - reasoning,
        reasoning=reasoning,
    )


def to_chat(usage: Usage) -> dict[str, Any]:
    """Return the counts as OpenAI's ``usage``."""
    return {
        "prompt_tokens": usage.tokens_input,
        "completion_tokens": usage.tokens_output,
        "total_tokens": usage.tokens_input + usage.tokens_output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def to_messages(usage: Usage) -> dict[str, Any]:
    """Return the counts as Anthropic's ``usage``: cached tokens beside ``input_tokens``, not within."""
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.tokens_output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }


def to_responses(usage: Usage) -> dict[str, Any]:
    """Return the counts as the ``usage`` of OpenAI's responses."""
    return {
        "input_tokens": usage.tokens_input,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.tokens_output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.tokens_input + usage.tokens_output,
    }
