"""Builds the smallest value that a JSON schema allows: what a well-behaved model would put into a tool call."""

import math
from typing import Any, Final

_FORMATS: Final = {
    "date": "2026-02-16",
    "time": "12:00:00Z",
    "date-time": "2026-02-16T12:00:00Z",
    "email": "elena@elena.example",
    "uri": "https://elena.example/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "127.0.0.1",
}
_DEEPEST: Final = 32


def instance(schema: dict[str, Any], *, text: str) -> Any:
    """Return a small value that is valid for ``schema``, in which free strings say ``text``.

    An object has its required properties, or all of them where none is said to be required. Patterns aren't obeyed.
    """
    return _Builder(root=schema, text=text).build(schema)


class _Builder:
    def __init__(self, *, root: dict[str, Any], text: str) -> None:
        self._root = root
        self._text = text
        self._depth = 0

    def build(self, schema: Any) -> Any:
        """Return a value for one schema, or None where it nests too deeply."""
        if not isinstance(schema, dict) or self._depth > _DEEPEST:
            return None
        self._depth += 1
        try:
            return self._value(self._settled(schema))
        finally:
            self._depth -= 1

    def _settled(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Follow references and take the first of several alternatives."""
        for _ in range(_DEEPEST):
            if "$ref" in schema:
                schema = {**self._at(schema["$ref"]), **{k: v for k, v in schema.items() if k != "$ref"}}
            elif choices := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
                schema = {**rest, **choices[0]}
            elif parts := schema.get("allOf"):
                schema = self._merged([{k: v for k, v in schema.items() if k != "allOf"}, *parts])
            else:
                break
        return schema

    def _merged(self, parts: list[dict[str, Any]]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for part in map(self._settled, parts):
            properties = {**merged.get("properties", {}), **part.get("properties", {})}
            required = [*merged.get("required", []), *part.get("required", [])]
            merged.update(part)
            if properties:
                merged.update(properties=properties, required=required)
        return merged

    def _at(self, reference: str) -> dict[str, Any]:
        found: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                found = found.get(step.replace("~1", "/").replace("~0", "~"), {})
        return found if isinstance(found, dict) else {}

    def _value(self, schema: dict[str, Any]) -> Any:
        if "const" in schema or schema.get("enum"):
            return schema["const"] if "const" in schema else schema["enum"][0]
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        match kind[0] if isinstance(kind, list) else kind:
            case "object":
                return self._object(schema)
            case "array":
                return [self.build(schema.get("items", {})) for _ in range(schema.get("minItems", 0))]
            case "integer":
                return math.ceil(_number(schema, step=1))
            case "number":
                return _number(schema, step=0.5)
            case "boolean" | "null" as kind:
                return True if kind == "boolean" else None
        return self._string(schema)

    def _object(self, schema: dict[str, Any]) -> dict[str, Any]:
        properties = schema.get("properties", {})
        names = schema.get("required", properties)
        return {name: self.build(properties.get(name, {})) for name in names}

    def _string(self, schema: dict[str, Any]) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = self._text.ljust(schema.get("minLength", 0), ".")
        return text[: schema.get("maxLength", len(text))]


def _number(schema: dict[str, Any], *, step: float) -> Any:
    """Return the number nearest to 1 that the schema allows."""
    if "multipleOf" in schema:
        step = schema["multipleOf"]
    low = schema.get("minimum", -math.inf)
    high = schema.get("maximum", math.inf)
    if "exclusiveMinimum" in schema:
        low = max(low, schema["exclusiveMinimum"] + step)
    if "exclusiveMaximum" in schema:
        high = min(high, schema["exclusiveMaximum"] - step)
    number = min(max(1, low), high)
    if "multipleOf" in schema:
        number = math.ceil(number / step) * step
    return number
