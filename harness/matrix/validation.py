"""A document checked against a typed model, with every problem in words a person can act on."""

from __future__ import annotations

import types
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from harness.matrix.problems import MatrixError, Problem, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from harness.matrix.document import Document

M = TypeVar("M", bound=BaseModel)

_PLAIN_WORDS = {
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of `key: value` lines",
    "model_type": "must be a mapping of `key: value` lines",
    "model_attributes_type": "must be a mapping of `key: value` lines",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "date_type": "must be a date like 2026-01-04",
    "date_parsing": "must be a date like 2026-01-04",
    "date_from_datetime_parsing": "must be a date like 2026-01-04",
    "date_from_datetime_inexact": "must be a date like 2026-01-04, without a time",
    "too_short": "is empty",
    "string_too_short": "is empty",
}


def validate(document: Document, model: type[M], defaults: Mapping[str, Any] | None = None) -> M:
    """The document's data as ``model``; ``defaults`` stand where it says nothing.

    Raises:
        MatrixError: it does not fit; every problem is listed.
    """
    try:
        said = document.root.plain()
        return model.model_validate({**(defaults or {}), **said} if isinstance(said, dict) else said)
    except ValidationError as error:
        raise MatrixError(_problem(document, model, detail) for detail in error.errors(include_url=False)) from None


def _problem(document: Document, model: type[BaseModel], detail: ErrorDetails) -> Problem:
    kind, loc, context = detail["type"], detail["loc"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _keys_at(model, loc[:-1])
        hint = suggestion(str(loc[-1]), known)
        return document.problem(loc, "unknown key", hint, of_key=True)
    if kind == "missing":
        return document.problem(loc, f"the key '{loc[-1]}' is missing", _example(model, loc))
    if loc and loc[-1] == "[key]":
        loc = loc[:-1]
    if kind in {"enum", "literal_error"}:
        allowed = _allowed(model, loc, context)
        return document.problem(
            loc, f"'{_shown(detail['input'])}' is not known here", _one_of(detail["input"], allowed)
        )
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _tag_problem(document, loc, detail, context)
    if kind == "value_error":
        message, _, hint = str(context["error"]).partition("; ")
        return document.problem(loc, message, hint)
    message = _PLAIN_WORDS.get(kind) or detail["msg"][:1].lower() + detail["msg"][1:]
    return document.problem(loc, f"{message}, not {_described(detail['input'])}", _example(model, loc))


def _tag_problem(
    document: Document, loc: tuple[int | str, ...], detail: ErrorDetails, context: Mapping[str, Any]
) -> Problem:
    key = str(context["discriminator"]).strip("'")
    if detail["type"] == "union_tag_not_found":
        return document.problem(loc, f"the key '{key}' is missing", f"write `{key}: …` first")
    allowed = [tag.strip().strip("'") for tag in str(context["expected_tags"]).split(",")]
    return document.problem(
        (*loc, key), f"'{_shown(context['tag'])}' is not known here", suggestion(str(context["tag"]), allowed)
    )


def _one_of(given: object, allowed: list[str]) -> str:
    return suggestion(given, allowed) if isinstance(given, str) else f"allowed here: {', '.join(allowed)}"


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - what fits a line


def _described(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    return repr(_shown(value)) if isinstance(value, str) else _shown(value)


def _example(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    if not loc or not isinstance(loc[-1], str):
        return ""
    for owner in _models_at(model, loc[:-1]):
        field = owner.model_fields.get(loc[-1])
        if field is not None:
            example = f"write e.g. `{loc[-1]}: {field.examples[0]}`" if field.examples else ""
            return ". ".join(part for part in ((field.description or "").rstrip("."), example) if part)
    return ""


def _keys_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    keys = [name for owner in _models_at(model, loc) for name in owner.model_fields]
    return list(dict.fromkeys(keys))


def _allowed(model: type[BaseModel], loc: tuple[int | str, ...], context: Mapping[str, Any]) -> list[str]:
    for found in _types_at(model, loc):
        if isinstance(found, type) and issubclass(found, StrEnum):
            return list(found)
    return [part.strip().strip("'") for part in str(context.get("expected", "")).replace(" or ", ", ").split(",")]


def _models_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[type[BaseModel]]:
    return [found for found in _types_at(model, loc) if isinstance(found, type) and issubclass(found, BaseModel)]


def _types_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[Any]:
    """The types that may stand at ``loc``, found by walking the annotations; a union has several."""
    found: list[Any] = [model]
    for part in loc:
        inner = [branch for outer in found for branch in _step(outer, part)]
        found = inner or [option for option in found if _is_tagged(option, part)] or found
    return found


def _is_tagged(option: object, tag: int | str) -> bool:
    """Whether ``tag`` picks this option of a union; it is a step of the place but not of the annotations."""
    if not (isinstance(option, type) and issubclass(option, BaseModel)):
        return False
    return any(
        get_origin(field.annotation) is Literal and tag in get_args(field.annotation)
        for field in option.model_fields.values()
    )


def _step(outer: object, part: int | str) -> list[Any]:
    origin = get_origin(outer)
    if isinstance(outer, type) and issubclass(outer, BaseModel):
        field = outer.model_fields.get(part) if isinstance(part, str) else None
        return _branches(field.annotation) if field is not None else []
    if origin in (tuple, list) and isinstance(part, int):
        return _branches(get_args(outer)[0])
    if origin is dict and isinstance(part, str):
        return _branches(get_args(outer)[1]) + _branches(get_args(outer)[0])
    return []


def _branches(annotation: Any) -> list[Any]:  # noqa: ANN401 - annotations are any object
    if get_origin(annotation) is Annotated:
        return _branches(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [branch for option in get_args(annotation) for branch in _branches(option)]
    return [annotation]
