"""JSON schemas as Anthropic's structured outputs take them.

Source: Anthropic's "Structured outputs", "JSON Schema limitations": objects are closed, and limits on numbers,
strings and lists aren't enforced. Such a limit isn't lost: it is told to the model in the description, as Anthropic's
own SDKs do.
"""

from typing import Any, Final

import msgspec

Schema = dict[str, Any]

_UNENFORCED: Final = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
        "patternProperties",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedProperties",
        "prefixItems",
        "contains",
        "not",
        "if",
        "then",
        "else",
    }
)
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_NAMED_SCHEMAS: Final = frozenset({"properties", "$defs", "definitions"})
_LISTED_SCHEMAS: Final = frozenset({"anyOf", "oneOf", "allOf"})


def enforceable(schema: Schema) -> Schema:
    """Return ``schema`` with closed objects, and what can't be enforced told in its description."""
    kept: Schema = {}
    told: Schema = {}
    for key, value in schema.items():
        if _is_unenforced(key, value):
            told[key] = value
        else:
            kept["anyOf" if key == "oneOf" else key] = _inside(key, value)
    if "properties" in kept or kept.get("type") in ("object", ["object"], ["object", "null"]):
        kept["additionalProperties"] = False
    if told:
        limits = msgspec.json.encode(told).decode()
        kept["description"] = "\n\n".join(text for text in (kept.get("description"), limits) if text)
    return kept


def _is_unenforced(key: str, value: Any) -> bool:
    if key == "format":
        return value not in _FORMATS
    if key == "additionalProperties":
        return isinstance(value, dict)
    if key == "minItems":
        return value not in (0, 1)
    return key in _UNENFORCED


def _inside(key: str, value: Any) -> Any:
    """Return a keyword's value with the schemas inside it made enforceable."""
    if key in _NAMED_SCHEMAS and isinstance(value, dict):
        return {name: _inside("items", inner) for name, inner in value.items()}
    if key in _LISTED_SCHEMAS and isinstance(value, list):
        return [_inside("items", inner) for inner in value]
    if key == "items" and isinstance(value, dict):
        return enforceable(value)
    return value
