"""Forms as Stripe's SDK sends them, and whether every name in them is one of the SDK's own."""

import re
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Union, get_args, get_origin
from urllib.parse import parse_qsl

from stripe import _request_options, params
from typing_extensions import get_type_hints, is_typeddict


def parse(encoded: str) -> dict[str, Any]:
    """Return ``a[b][0][c]=1`` as nested dicts and lists."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        path = [part for part in re.split(r"[\[\]]+", name) if part]
        here = found
        for part in path[:-1]:
            here = here.setdefault(part, {})
        here[path[-1]] = value
    listed = _lists(found)
    assert isinstance(listed, dict)
    return listed


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(each) for key, each in value.items()}


def unknown(given: dict[str, Any], kind: str) -> str | None:
    """Return the first name in ``given`` that ``stripe.params`` doesn't have for this ``kind`` of request."""
    module, _dot, name = kind.rpartition(".")
    home = getattr(params, module) if module else params
    return _unknown(given, getattr(home, name), path="")


def _unknown(given: Any, hint: Any, *, path: str) -> str | None:
    if isinstance(given, dict):
        known = _fields(hint)
        if known is None:
            return None  # free names, as metadata has
        for name, value in given.items():
            here = f"{path}[{name}]" if path else name
            if name not in known:
                return here
            if found := _unknown(value, known[name], path=here):
                return found
    if isinstance(given, list):
        for value in given:
            if found := _unknown(value, hint, path=path):
                return found
    return None


@cache
def _options() -> frozenset[str]:
    return frozenset(_request_options.RequestOptions.__annotations__)


@cache
def _fields(hint: Any) -> dict[str, Any] | None:
    """Return the names that a hint allows, through lists and unions; None where any may be there."""
    if is_typeddict(hint):
        # Names that the options every call has refer to, and that aren't known where they are inherited.
        hints = get_type_hints(hint, localns={"StripeContext": object, "Mapping": Mapping})
        return {name: each for name, each in hints.items() if name not in _options()}
    if get_origin(hint) in {Union, types.UnionType, list}:
        for each in get_args(hint):
            if (found := _fields(each)) is not None:
                return found
    return None
