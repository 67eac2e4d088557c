"""What may stand in matrix.yaml, as typed models that also emit the JSON Schema for editors."""

from __future__ import annotations

import re
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from harness.core.verdict import Expectation, Reason, Stage, Status
from harness.engines import CHECKS, Backend, Launch
from harness.matrix.document import Document, Node
from harness.matrix.engine_source import check_source, is_source
from harness.matrix.problems import suggestion
from harness.matrix.quantities import (
    VERSION_SCHEMA,
    Duration,
    PackageName,
    PlainName,
    PythonVersion,
    RequirementText,
    Size,
    VersionRange,
    as_text,
    one_or_many,
)
from harness.matrix.versions import VersionRule, version_pattern

if TYPE_CHECKING:
    from pydantic_core import InitErrorDetails


class Platform(StrEnum):
    """The system the chosen stack is meant for."""

    LINUX = "linux"
    WSL2 = "wsl2"


def _rule(text: str) -> str:
    return VersionRule.parse(text).text


def _pattern(text: str) -> str:
    version_pattern(text)
    return text.strip()


def _expectation(text: str) -> str:
    try:
        wanted = Expectation.parse(text)
    except ValueError as error:
        parts = text.split("/")
        words: tuple[type[StrEnum], ...] = (Status, Stage, Reason)
        for part, kind in zip(parts, words, strict=False):
            if part.split("(")[0] not in set(kind):
                close = suggestion(part, kind)
                raise ValueError(
                    f"'{text}' is not a verdict: '{part}' is no {kind.__name__.lower()}; {close}"
                ) from None
        raise ValueError(str(error)) from None
    return str(wanted)


def _engine(text: str) -> str:
    return check_source(text) if is_source(text) else _rule(text)


def _cuda(text: str) -> str:
    if not re.fullmatch(r"cpu|cu\d{2,3}|rocm\d+(\.\d+)*|xpu", text):
        raise ValueError(f"'{text}' is no variant of torch; write e.g. cu126, cu128 or cpu")
    return text


def _index(text: str) -> str:
    if not re.fullmatch(r"(?:https?|file)://[^\s@]+", text):
        raise ValueError(f"'{text}' is no index; write its address, and give uv the credentials instead of the matrix")
    return text


def _own_axes(packages: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    taken = next((name for name in packages if name in NOT_PACKAGES), None)
    if taken is not None:
        raise ValueError(f"'{taken}' has a key of its own; write it beside `packages`")
    return packages


NOT_PACKAGES = frozenset({"python", "lmdeploy", "transformers", "backend", "model", "as-of", "launch"})
"""Axes with keys of their own; a record calls them by these names."""
Many = BeforeValidator(one_or_many)
"""One value or a list of them."""
_NonEmpty = Field(min_length=1)
Rule = Annotated[str, BeforeValidator(as_text), AfterValidator(_rule), WithJsonSchema(VERSION_SCHEMA)]
EngineRule = Annotated[str, BeforeValidator(as_text), AfterValidator(_engine), WithJsonSchema(VERSION_SCHEMA)]
Setting = bool | int | float | str
Pattern = Annotated[str, BeforeValidator(as_text), AfterValidator(_pattern), WithJsonSchema(VERSION_SCHEMA)]
Verdict = Annotated[str, AfterValidator(_expectation)]
PlainSetting = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def _one_or_many_schema(schema: dict[str, Any]) -> None:
    """An axis with one value may be written without the brackets; say so to editors."""
    for name, field in schema["properties"].items():
        if name != "tags" and field.get("type") == "array":
            described = {key: field.pop(key) for key in ("description", "title", "default", "examples") if key in field}
            many = dict(field)
            field.clear()
            field.update(described, anyOf=[many["items"], many])


WRITTEN_BY_HAND = ConfigDict(frozen=True, extra="forbid", str_max_length=20_000)
"""Configuration of every part of a file a person writes: unknown keys are mistakes."""


class _Part(BaseModel):
    model_config = WRITTEN_BY_HAND


class Further(_Part):
    """Axes that a matrix may have besides."""

    packages: Annotated[dict[PackageName, Annotated[tuple[Rule, ...], Many, _NonEmpty]], AfterValidator(_own_axes)] = (
        Field(
            default={},
            description="Any package as an axis: its versions, or rules, as for lmdeploy.",
            examples=["{torch: [2.8.0, 2.10.0]}"],
        )
    )
    engine: dict[PlainSetting, Annotated[tuple[Setting, ...], Many, _NonEmpty]] = Field(
        default={},
        description="What the engine is told, in its own names; several values of one are an axis.",
        examples=["{tp: 2, session_len: [4096, 16384]}"],
    )
    cuda: Annotated[tuple[Annotated[str, AfterValidator(_cuda)], ...], Many] = Field(
        default=(), description="Builds of torch: cu126, cu128, cpu. Default: the index's own.", examples=["cu128"]
    )
    index: Annotated[tuple[Annotated[str, AfterValidator(_index)], ...], Many] = Field(
        default=(),
        description="A package index beside the user's own; several are an axis.",
        examples=["https://download.pytorch.org/whl/cu128"],
    )


class Axes(Further):
    """The five axes and others; every combination of their values is one point of the matrix."""

    model_config = ConfigDict(json_schema_extra=_one_or_many_schema)

    python: Annotated[tuple[PythonVersion, ...], Many, _NonEmpty] = Field(
        description="Python versions, such as 3.11.", examples=["3.11"]
    )
    lmdeploy: Annotated[tuple[EngineRule, ...], Many, _NonEmpty] = Field(
        description="Versions of lmdeploy, or rules that the package index expands: latest, '>=0.16', "
        "'last-patch-of-each-minor >=0.9'. Also a wheel, its address, or 'VERSION @ git+https://…@COMMIT'.",
        examples=["0.18.0"],
    )
    transformers: Annotated[tuple[Rule, ...], Many, _NonEmpty] = Field(
        description="Versions of transformers, or rules, as for lmdeploy.", examples=["5.17.0"]
    )
    backend: Annotated[tuple[Backend, ...], Many, _NonEmpty] = Field(
        description=f"Who runs the model: {', '.join(Backend)}; transformers gives the reference answer.",
        examples=["pytorch"],
    )
    model: Annotated[tuple[PlainName, ...], Many, _NonEmpty] = Field(
        description="Names of specs in the models folder.", examples=["canary"]
    )


class When(_Part):
    """Which combinations a rule speaks of: all keys must match; a key with several values matches any of them."""

    model_config = ConfigDict(json_schema_extra=_one_or_many_schema)

    python: Annotated[tuple[Pattern, ...], Many] = Field(default=(), description="Exact, '3.11.*' or a range.")
    lmdeploy: Annotated[tuple[Pattern, ...], Many] = Field(default=(), description="Exact, '0.12.*' or a range.")
    transformers: Annotated[tuple[Pattern, ...], Many] = Field(default=(), description="Exact, '5.0.*' or a range.")
    backend: Annotated[tuple[Backend, ...], Many] = Field(default=(), description="Any of these backends.")
    model: Annotated[tuple[PlainName, ...], Many] = Field(default=(), description="Any of these models.")
    launch: Annotated[tuple[Launch, ...], Many] = Field(default=(), description="Any of these ways to start.")
    as_of: date | None = Field(
        default=None, description="Only combinations as of this date; null: only those of the index as it is now."
    )


class Include(Further):
    """Combinations named outright, beside those of the axes. Lists are crossed with each other and nothing else."""

    model_config = ConfigDict(json_schema_extra=_one_or_many_schema)

    lock: str | None = Field(
        default=None,
        min_length=1,
        description="A file of the project that says the stack, from the matrix's folder: uv.lock, poetry.lock, "
        "pylock.toml, Pipfile.lock, requirements.txt, environment.yml, a Dockerfile. Its pins hold.",
        examples=["uv.lock"],
    )
    groups: Annotated[tuple[str, ...], Many] = Field(default=(), description="Dependency groups of the lock, besides.")
    extras: Annotated[tuple[str, ...], Many] = Field(default=(), description="Extras of the project, with a lock.")
    python: Annotated[tuple[PythonVersion, ...], Many] = Field(
        default=(),
        description="Python versions, such as 3.11. With a lock, default: what the project says.",
        examples=["3.11"],
    )
    lmdeploy: Annotated[tuple[EngineRule, ...], Many] = Field(
        default=(),
        description="As in the axes. With a lock, default: what it holds; others move it there, the other pins hold.",
        examples=["0.18.0"],
    )
    transformers: Annotated[tuple[Rule, ...], Many] = Field(
        default=(), description="As for lmdeploy.", examples=["5.17.0"]
    )
    backend: Annotated[tuple[Backend, ...], Many, _NonEmpty] = Field(
        description=f"Who runs the model: {', '.join(Backend)}.", examples=["pytorch"]
    )
    model: Annotated[tuple[PlainName, ...], Many, _NonEmpty] = Field(
        description="Names of specs in the models folder.", examples=["canary"]
    )
    launch: Launch = Field(default=Launch.LIBRARY, description="How the engine is started.")
    as_of: date | None = Field(
        default=None, description="Resolve with the packages of this date; null: as they are now. Default: the top's."
    )
    label: PlainName | None = Field(default=None, description="Ends the id, where two entries would share one.")
    requirements: Annotated[tuple[RequirementText, ...], Many] = Field(
        default=(), description="Further requirements of the lock, added to the top's."
    )
    overrides: Annotated[tuple[RequirementText, ...], Many] = Field(
        default=(), description="Requirements that replace what packages ask for, added to the top's."
    )
    tags: tuple[PlainName, ...] = Field(default=(), description="Words to select by.")
    expect: Verdict | None = Field(
        default=None,
        description="The verdict to expect: pass, fail, fail/<stage> or fail/<stage>/<reason>.",
        examples=["fail/import/symbol-removed-or-not-yet-added"],
    )
    note: str = Field(default="", description="Why this combination is here; shown in the report.")

    @model_validator(mode="after")
    def _says_a_stack(self) -> Include:
        wanted = () if self.lock else ("python", "lmdeploy", "transformers")
        missing: list[InitErrorDetails] = [
            {"type": "missing", "loc": (name,), "input": None} for name in wanted if not getattr(self, name)
        ]
        if missing:
            raise ValidationError.from_exception_data("Include", missing)
        if (self.groups or self.extras) and not self.lock:
            raise ValueError("groups and extras are a lock's; name it as `lock`")
        if self.lock and (self.index or self.cuda):
            raise ValueError("a lock says itself where its packages come from; drop `index` and `cuda`")
        return self


class Exclude(When):
    """Combinations of the axes that are left out and shown as skipped with the reason. An include always stays."""

    reason: str = Field(min_length=1, description="Why; shown in the report.", examples=["no wheels for this python"])


class Expect(_Part):
    """What is known to happen. The last rule that matches counts; an include's own word counts more."""

    when: When = Field(description="Which combinations.")
    verdict: Verdict = Field(
        description="pass, fail, fail/<stage> or fail/<stage>/<reason>.", examples=["fail/resolve/resolver-conflict"]
    )
    because: str = Field(min_length=1, description="Why; shown in the report.", examples=["needs a name that is gone"])


class Tag(_Part):
    """A word to select by, given to every combination that matches."""

    name: PlainName = Field(description="The word.", examples=["quick"])
    when: When = Field(description="Which combinations.")


class AdjustmentRule(_Part):
    """Requirements and time-outs for the combinations that match."""

    when: When = Field(description="Which combinations.")
    requirements: Annotated[tuple[RequirementText, ...], Many] = Field(
        default=(), description="Further requirements of the lock."
    )
    overrides: Annotated[tuple[RequirementText, ...], Many] = Field(
        default=(), description="Requirements that replace what packages ask for."
    )
    because: str = Field(default="", description="Why; shown in the report.")


_ALONG = {stage: check.stages[0] for check in CHECKS.values() for stage in check.stages[1:]}
"""Stages that are answered in the process of another one."""


def _timed(stage: Stage) -> Stage:
    if stage in _ALONG:
        raise ValueError(f"{stage} is answered in the process of {_ALONG[stage]}; write `{_ALONG[stage]}: …` for both")
    return stage


TimedStage = Annotated[
    Stage,
    AfterValidator(_timed),
    WithJsonSchema({"enum": [str(stage) for stage in Stage if stage not in _ALONG], "type": "string"}),
]


class StageTimeout(_Part):
    """How long a child of this stage may take."""

    wall: Duration | None = Field(default=None, description="From start to end, such as 5m.")
    idle: Duration | None = Field(default=None, description="Without a sign of life, such as 60s.")


class Target(_Part):
    """The machine the chosen stack is meant for, when it is not this one."""

    gpu_memory: Size | None = Field(default=None, description="Memory of its GPU, such as 8GiB.")
    platform: Platform | None = Field(default=None, description="linux or wsl2.")
    driver: VersionRange | None = Field(default=None, description="Its NVIDIA driver, such as '>=550'.")
    compute_capability: VersionRange | None = Field(
        default=None, description="The compute capability of its GPU, such as '>=8.0'."
    )


class Matrix(_Part):
    """A matrix of combinations to test."""

    version: Literal[1] = Field(description="Version of this format.", examples=[1])
    axes: Axes | None = Field(default=None, description="Every combination of these is tested.")
    as_of: date | None = Field(
        default=None, description="Resolve with the packages of this date (end of day, UTC); null: as they are now."
    )
    requirements: Annotated[tuple[RequirementText, ...], Many] = Field(
        default=(), description="Further requirements of every lock."
    )
    overrides: Annotated[tuple[RequirementText, ...], Many] = Field(
        default=(), description="Requirements that replace what packages ask for, in every lock."
    )
    include: tuple[Include, ...] = Field(default=(), description="Combinations named outright.")
    exclude: tuple[Exclude, ...] = Field(
        default=(), description="Combinations of the axes to leave out, with a reason."
    )
    rules: tuple[AdjustmentRule, ...] = Field(default=(), description="Requirements for some combinations.")
    expect: tuple[Expect, ...] = Field(default=(), description="What is known to happen; the last match counts.")
    tags: tuple[Tag, ...] = Field(default=(), description="Words to select by.")
    timeouts: dict[TimedStage, StageTimeout] = Field(
        default={}, description="How long the children of a stage may take."
    )
    target: Target = Field(default=Target(), description="The machine the chosen stack is meant for.")
    allow_source: Annotated[tuple[PackageName, ...], Many] = Field(
        default=(), description="Packages that may be built from source; all others are taken as wheels only."
    )
    _document: Document | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _says_something(self) -> Matrix:
        if self.axes is None and not self.include:
            missing: list[InitErrorDetails] = [{"type": "missing", "loc": ("axes",), "input": None}]
            raise ValidationError.from_exception_data("Matrix", missing)
        return self

    @property
    def document(self) -> Document:
        """The file it was read from; an empty one when it was made in Python."""
        return self._document or Document("matrix", Node(1, 1))


def end_of(day: date) -> str:
    """The first moment after ``day`` in UTC, as RFC 3339: the limit that stands for "as of that day"."""
    return f"{day + timedelta(days=1)}T00:00:00Z"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of matrix.yaml."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Matrix.model_json_schema()}


__all__ = [
    "Axes",
    "Exclude",
    "Include",
    "Matrix",
    "Platform",
    "Target",
    "When",
    "end_of",
    "json_schema",
]
