"""How errors look in the log: all that helps to find them, and none of what a caller sent."""

import traceback
from types import TracebackType
from typing import Any, Final

import structlog

# Beside prompts, answers and keys, an error's own message may quote them: there only its kind and place are logged.
QUIET: Final = ("llm.", "asyncio", "uvicorn")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def places(exc_info: ExcInfo) -> str:
    """Return the kinds of an error and its causes, each with where it was raised, without their messages."""
    error: BaseException | None = exc_info[1]
    parts: list[str] = []
    while error and len(parts) < 10:  # noqa: PLR2004
        found = traceback.extract_tb(error.__traceback__)
        where = "".join(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n' for frame in found)
        parts.append(f"{where}{type(error).__module__}.{type(error).__qualname__}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\ncaused by\n".join(parts)


_quietly: Final = structlog.processors.ExceptionRenderer(places)
_in_full: Final = structlog.processors.format_exc_info


def render_exception(logger: Any, method: str, event: Any) -> Any:
    """Put an error into the line, as a structlog processor."""
    quiet = str(event.get("logger", "")).startswith(QUIET)
    return (_quietly if quiet else _in_full)(logger, method, event)
