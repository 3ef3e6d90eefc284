"""The JSON Schema of `manifest.json`: `python -m ofar_tf.family.manifest_schema > ofar_tf/family/manifest.schema.json`.

It is made from the dataclasses that read and write manifests, their docstrings included, so that it cannot differ from
them; the file ships with the package for programs in other languages.
"""

import inspect
import json
import re
import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from ofar_tf.checks.accuracy_check import AccuracyCheck
from ofar_tf.family.manifest import SCHEMA_VERSION, Manifest, ModelEntry
from ofar_tf.tasks.scores import FileScores, Scores
from ofar_tf.text.size import Size

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}
_POSITIVE = ("bytes", "macs", "params", "images", "threads", "runs", "rounds")
_LIMITS: dict[str, dict[str, Any]] = {
    "schema_version": {"const": SCHEMA_VERSION},
    "id": {"pattern": "^[a-z0-9_]+$"},
    "sha256": {"pattern": "^[0-9a-f]{64}$"},
    "rate": {"minimum": 0, "exclusiveMaximum": 1},
    **{name: {"minimum": 1} for name in _POSITIVE},
    **{name: {"exclusiveMinimum": 0} for name in ("median_ms", "p90_ms", "p95_ms", "ms")},
    **{
        name: {"minimum": 0} for name in ("noise", "added", "losses", "gains", "arena_bytes", "max_difference", "error")
    },
    "argmax_agreement": {"minimum": 0, "maximum": 1},
    "verdict": {"enum": ["passed", "failed", "cannot_tell"]},
    "limit": {"exclusiveMinimum": 0},
}
# Those of one class: what is a share there need not be one elsewhere.
_OWN_LIMITS: dict[Any, dict[str, dict[str, Any]]] = {AccuracyCheck: {"limit": {"exclusiveMaximum": 1}}}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_SIZE = {
    "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[1-9][0-9]*x[1-9][0-9]*$"}],
}
_TOP1 = {
    "top1": {"description": "Share of the images whose label has the highest score; of classifiers.", **_SHARE},
    "top5": {"description": "Share of the images whose label is among the five highest; of classifiers.", **_SHARE},
}
_INTERVAL = {
    "description": "Wilson's 95 % interval of the number that decides, where images are right or wrong.",
    "anyOf": [
        {"type": "array", "prefixItems": [_SHARE, _SHARE], "items": False, "minItems": 2},
        {"type": "null"},
    ],
}
_IMAGES = {"images": {"description": "How many images were measured.", "type": "integer", "minimum": 1}}
_SCORES = {
    Scores: {**_TOP1, **_IMAGES},
    FileScores: {
        **_TOP1,
        **_IMAGES,
        "keras_top1": {"description": "The top-1 accuracy of the .keras file; of classifiers.", **_SHARE},
    },
}
"""The columns of a task's numbers are those of the manifest's metric; that of the parent has `keras_` before it."""


def manifest_schema() -> dict[str, Any]:
    """Makes the schema.

    Returns:
        A JSON Schema of draft 2020-12.
    """
    definitions: dict[str, Any] = {}
    root = _object(Manifest, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text() -> str:
    """Returns the schema as the text of the file."""
    return json.dumps(manifest_schema(), indent=2) + "\n"


def _object(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind in _SCORES:
        return {
            "title": kind.__name__,
            "description": (inspect.getdoc(kind) or "").split("\n")[0],
            "type": "object",
            "properties": _SCORES[kind],
            "required": ["images"],
            "additionalProperties": {"type": "number"},
        }
    hints, notes = get_type_hints(kind), _attributes(kind)
    properties = {}
    for field in fields(kind):
        described = {"description": notes[field.name]} if field.name in notes else {}
        limits = {**_LIMITS.get(field.name, {}), **_OWN_LIMITS.get(kind, {}).get(field.name, {})}
        properties[field.name] = {**described, **_type(hints[field.name], definitions, limits)}
    return {
        "title": kind.__name__,
        "description": (inspect.getdoc(kind) or "").split("\n")[0],
        "type": "object",
        "properties": properties,
        "required": [field.name for field in fields(kind) if field.default is MISSING],
        **({"patternProperties": {"^[a-z0-9_]+_interval$": _INTERVAL}} if kind is ModelEntry else {}),
        "additionalProperties": False,
    }


def _type(kind: Any, definitions: dict[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Size:
        return _SIZE
    if is_dataclass(kind):
        name = getattr(kind, "__name__", "")
        if name not in definitions:
            definitions[name] = _object(kind, definitions)
        return {"$ref": f"#/$defs/{name}"}
    if origin in (Union, types.UnionType):
        inner = next(argument for argument in arguments if argument is not types.NoneType)
        return {"anyOf": [_type(inner, definitions, limits), {"type": "null"}]}
    if origin is tuple and arguments[-1] is ...:
        return {"type": "array", "items": _type(arguments[0], definitions, {})}
    if origin is tuple:
        items = [_type(argument, definitions, {}) for argument in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if origin is Mapping:
        values = {} if arguments[1] is Any else _type(arguments[1], definitions, {})
        return {"type": "object", "additionalProperties": values or True}
    return {"type": _PLAIN[kind], **limits}


def _attributes(kind: Any) -> dict[str, str]:
    """Reads the `Attributes:` of a class's docstring, and those of the classes it is made from."""
    notes: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        _, _, section = (inspect.cleandoc(base.__doc__ or "")).partition("\nAttributes:\n")
        for name, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE):
            notes[name] = re.sub(r"\bNone\b", "null", " ".join(text.split()))
    return notes


if __name__ == "__main__":
    sys.stdout.write(schema_text())
