"""Model specs: what a model is, what it needs, and how its answers are judged. One file each in the models folder."""

from __future__ import annotations

import re
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from packaging.specifiers import SpecifierSet
from pydantic import AfterValidator, BaseModel, Field, JsonValue, PrivateAttr, model_validator

from harness.matrix.document import Document, read_document
from harness.matrix.problems import MatrixError, Problem
from harness.matrix.quantities import PackageName, PlainName, RequirementText, VersionRange
from harness.matrix.schema import WRITTEN_BY_HAND
from harness.matrix.validation import validate

if TYPE_CHECKING:
    from packaging.version import Version

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[0-9a-f]{40}")
_MODULE = re.compile(r"[A-Za-z_]\w{0,99}(?:\.[A-Za-z_]\w{0,99}){0,9}", re.ASCII)


class Quantisation(StrEnum):
    """How the weights are stored."""

    NONE = "none"
    AWQ_INT4 = "awq-int4"
    GPTQ_INT4 = "gptq-int4"


def _matching(pattern: re.Pattern[str], what: str, example: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"'{text}' is not {what}; write e.g. {example}")
        return text

    return AfterValidator(check)


HubId = Annotated[str, _matching(_HUB_ID, "a hub id", "Qwen/Qwen2-VL-2B-Instruct")]
Revision = Annotated[
    str, _matching(_REVISION, "a full commit", "the 40 hexadecimal digits that the hub shows, or null")
]
ModuleName = Annotated[str, _matching(_MODULE, "a module name", "transformers_stream_generator")]


class _Part(BaseModel):
    model_config = WRITTEN_BY_HAND


class HubWeights(_Part):
    """The published checkpoint, from the hub or a folder of one's own."""

    kind: Literal["hub"]
    hub_id: HubId = Field(description="Owner and name on the hub.", examples=["Qwen/Qwen2-VL-2B-Instruct"])
    revision: Revision | None = Field(
        default=None, description="Commit to load; null: the newest, and the record says which it was."
    )
    local_path: str | None = Field(
        default=None, min_length=1, description="A folder with the checkpoint, used instead of the hub."
    )
    config: PlainName | None = Field(
        default=None, description="Folder beside the specs with the model's config.json, for stages without weights."
    )


class RandomWeights(_Part):
    """Weights made on the spot from a configuration: for boot, memory and latency; its answers mean nothing."""

    kind: Literal["random"]
    config: PlainName = Field(description="Folder beside the specs with config.json.", examples=["qwen2-vl-2b"])
    seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of the generator.")


class CanaryWeights(_Part):
    """A small trained checkpoint that is kept beside the specs."""

    kind: Literal["canary"]
    folder: PlainName = Field(description="Folder beside the specs with the checkpoint.", examples=["canary"])


Weights = Annotated[HubWeights | RandomWeights | CanaryWeights, Field(discriminator="kind")]


class EnginePackage(_Part):
    """A package the model needs with some engines only."""

    package: RequirementText = Field(description="Requirement to add to the lock.", examples=["qwen-vl-utils"])
    lmdeploy: VersionRange = Field(description="Versions of lmdeploy that need it.", examples=["'<0.15'"])


class Memory(_Part):
    """What the model takes, in GiB. An estimate for planning; runs measure."""

    weights_gib: float = Field(ge=0, allow_inf_nan=False, description="The weights alone.", examples=[4.2])
    gpu_gib: float = Field(ge=0, allow_inf_nan=False, description="A GPU that serves it.", examples=[8])


class SmokeImage(_Part):
    """The picture of the first pass, drawn with flat colours."""

    pattern: Literal["quadrants"] = Field(description="What is drawn.", examples=["quadrants"])
    size: int = Field(ge=28, le=4096, description="Side of the square, in pixels.", examples=[448])
    colours: tuple[PlainName, PlainName, PlainName, PlainName] = Field(
        description="Top left, top right, bottom left, bottom right.", examples=["[red, blue, green, yellow]"]
    )


class SeePass(_Part):
    """Pass 1: image and question, answered in text."""

    prompt: str = Field(min_length=1, description="The question; the image stands before it.", examples=["What is it?"])
    max_new_tokens: int = Field(ge=1, le=4096, description="Longest answer, in tokens.", examples=[64])
    judge: Literal["exact", "contains", "any"] = Field(
        description="exact: the answer is `expected`; contains: every expected text is in it, in any case; any: there "
        "is an answer, for weights whose answers mean nothing.",
        examples=["contains"],
    )
    expected: str | tuple[str, ...] | None = Field(
        default=None, description="What is right; several texts for `contains`, none for `any`."
    )

    @model_validator(mode="after")
    def _expected_fits_the_judge(self) -> SeePass:
        if self.judge == "any" and self.expected is not None:
            raise ValueError("'judge: any' compares with nothing; drop `expected` or use 'judge: contains'")
        if self.judge == "exact" and not isinstance(self.expected, str):
            raise ValueError("'judge: exact' compares with one text; write one text as `expected`")
        if self.judge == "contains" and not self.expected:
            raise ValueError("'judge: contains' needs something to look for; write it as `expected`")
        return self


class StructurePass(_Part):
    """Pass 2: text alone, answered as JSON."""

    prompt: str = Field(description="The request; {answer} stands for pass 1's answer.")
    max_new_tokens: int = Field(ge=1, le=4096, description="Longest answer, in tokens.", examples=[96])
    judge: Literal["json", "any"] = Field(
        description="json: the answer is this JSON, however it is laid out; any: there is an answer.", examples=["json"]
    )
    expected: dict[str, JsonValue] | None = Field(default=None, description="The facts that are right; none for `any`.")

    @model_validator(mode="after")
    def _fits(self) -> StructurePass:
        if "{answer}" not in self.prompt:
            raise ValueError("the prompt has no {answer}; put {answer} where pass 1's answer belongs")
        if (self.judge == "any") != (self.expected is None):
            raise ValueError(
                "'judge: json' needs the right facts and 'judge: any' takes none; write or drop `expected`"
            )
        return self


class Smoke(_Part):
    """The two-pass smoke test."""

    image: SmokeImage = Field(description="The picture that is shown.")
    see: SeePass = Field(description="Pass 1: image to text.")
    structure: StructurePass = Field(description="Pass 2: text to JSON.")


class ModelSpec(_Part):
    """One model of the matrix."""

    name: PlainName = Field(description="The file's name without its ending.", examples=["canary"])
    title: str = Field(min_length=1, description="Name for people.", examples=["Qwen2-VL 2B Instruct"])
    architecture: ModuleName = Field(
        description="Class in config.json's `architectures`.", examples=["Qwen2VLForConditionalGeneration"]
    )
    model_type: PlainName = Field(description="`model_type` of config.json.", examples=["qwen2_vl"])
    quantisation: Quantisation = Field(description="none, awq-int4 or gptq-int4.", examples=["none"])
    weights: Weights = Field(description="Where the weights come from.")
    imports: tuple[ModuleName, ...] = Field(
        default=(), description="Modules the model's own code imports, beyond the engine's."
    )
    packages: tuple[RequirementText, ...] = Field(default=(), description="Requirements added to every lock.")
    engine_packages: tuple[EnginePackage, ...] = Field(
        default=(), description="Requirements added for some versions of lmdeploy."
    )
    allow_source: tuple[PackageName, ...] = Field(
        default=(), description="Packages that exist only as source and may be built."
    )
    trust_remote_code: bool = Field(default=False, description="Whether the checkpoint's own Python code is run.")
    licence: str = Field(min_length=1, description="Licence of the weights.", examples=["Apache-2.0"])
    memory: Memory = Field(description="What it takes.")
    smoke: Smoke = Field(description="The two-pass smoke test and its answers.")
    sources: tuple[str, ...] = Field(min_length=1, description="Where these facts come from.")
    _folder: Path = PrivateAttr(default=Path())

    @property
    def checkpoint_folder(self) -> Path | None:
        """The checkpoint that is known without looking further: a canary's folder or a hub model's `local_path`."""
        if isinstance(self.weights, CanaryWeights):
            return self._folder / self.weights.folder
        if isinstance(self.weights, HubWeights) and self.weights.local_path is not None:
            return self._folder / Path(self.weights.local_path).expanduser()
        return None

    @property
    def config_folder(self) -> Path | None:
        """The folder beside the specs that holds config.json; None for a hub model that keeps none here."""
        name = self.weights.folder if isinstance(self.weights, CanaryWeights) else self.weights.config
        return self._folder / name if name is not None else None

    def requirements_for(self, lmdeploy: Version) -> tuple[str, ...]:
        """What the model adds to a lock with that lmdeploy."""
        extra = (
            need.package
            for need in self.engine_packages
            if SpecifierSet(need.lmdeploy).contains(lmdeploy, prereleases=True)
        )
        return (*self.packages, *extra)


def load_model(path: Path) -> ModelSpec:
    """The spec in one file.

    Raises:
        MatrixError: the file, or a folder it names, is not as it must be; every problem is listed.
    """
    document = read_document(path)
    spec = validate(document, ModelSpec)
    spec._folder = path.parent  # noqa: SLF001 - set once, here, where the file's place is known
    problems = list(_misplaced(spec, path, document))
    if problems:
        raise MatrixError(problems)
    return spec


def load_models(folder: Path) -> dict[str, ModelSpec]:
    """Every spec (``*.yaml``) of a folder by name, in the order of the names.

    Raises:
        MatrixError: the problems of all files together, or no spec at all.
    """
    problems: list[Problem] = []
    specs: dict[str, ModelSpec] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            spec = load_model(path)
        except MatrixError as error:
            problems.extend(error.problems)
        else:
            specs[spec.name] = spec
    if problems:
        raise MatrixError(problems)
    if not specs:
        hint = "give the folder that holds one NAME.yaml per model"
        raise MatrixError([Problem(str(folder), 1, 1, "", "no model spec (*.yaml) is here", hint)])
    return specs


def download_command(spec: ModelSpec) -> str:
    """The command that fetches a hub model into the hub's own cache.

    Raises:
        ValueError: the model is not on the hub.
    """
    if not isinstance(spec.weights, HubWeights):
        raise ValueError(f"{spec.name} is not fetched from the hub")  # noqa: TRY004 - the kind is a value of the spec
    command = ["uvx", "--from", "huggingface-hub", "hf", "download", spec.weights.hub_id]
    if spec.weights.revision is not None:
        command += ["--revision", spec.weights.revision]
    return shlex.join(command)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a model spec."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ModelSpec.model_json_schema()}


def _misplaced(spec: ModelSpec, path: Path, document: Document) -> list[Problem]:
    problems = []
    if spec.name != path.stem:
        message = f"the name '{spec.name}' is not the file's name"
        problems.append(document.problem(("name",), message, f"write `name: {path.stem}` or rename the file"))
    config = spec.config_folder
    if config is not None and not (config / "config.json").is_file():
        key = "folder" if isinstance(spec.weights, CanaryWeights) else "config"
        message = f"there is no config.json in {config}"
        problems.append(document.problem(("weights", key), message, "name a folder beside the specs that has one"))
    return problems
