"""Model specs: what a model is, what it needs, and how its answers are judged. One file each in the models folder."""

from __future__ import annotations

import re
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from packaging.specifiers import SpecifierSet
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    JsonValue,
    PrivateAttr,
    RootModel,
    model_validator,
)

from harness.matrix.quantities import PackageName, PlainName, RequirementText, VersionRange
from harness.matrix.schema import WRITTEN_BY_HAND

if TYPE_CHECKING:
    from packaging.version import Version

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[0-9a-f]{40}")
_MODULE = re.compile(r"[A-Za-z_]\w{0,99}(?:\.[A-Za-z_]\w{0,99}){0,9}", re.ASCII)


class Quantisation(StrEnum):
    """How the weights are stored: the methods that LMDeploy names."""

    NONE = "none"
    AWQ_INT4 = "awq-int4"
    GPTQ_INT4 = "gptq-int4"
    FP8 = "fp8"
    W8A8 = "w8a8"
    MXFP4 = "mxfp4"
    COMPRESSED_TENSORS = "compressed-tensors"
    OTHER = "other"
    """A method that LMDeploy does not name."""


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


_UNSAID = ("any", "logits")
"""Judges that know no right answer."""
MINIATURES = "miniatures"
"""Folder beside the specs: each NAME.json in it, a published config.json, is a model by itself."""
FAMILIES = "families.yaml"
"""File in it: of which model each configuration is, where it comes from, and which other models are built alike."""


class _Part(BaseModel):
    model_config = WRITTEN_BY_HAND


class HubWeights(_Part):
    """The real checkpoint, from the hub or a folder of one's own."""

    kind: Literal["hub"]
    hub_id: HubId | None = Field(
        default=None,
        description="Owner and name on the hub; needed unless there is a local_path.",
        examples=["Qwen/Qwen2-VL-2B-Instruct"],
    )
    revision: Revision | None = Field(
        default=None, description="Commit to load; null: the newest, and the record says which it was."
    )
    local_path: str | None = Field(
        default=None, min_length=1, description="A folder with the checkpoint, used instead of the hub."
    )
    config: PlainName | None = Field(
        default=None, description="Folder beside the specs with the model's config.json, for stages without weights."
    )

    @model_validator(mode="after")
    def _is_somewhere(self) -> HubWeights:
        if self.hub_id is None and self.local_path is None:
            raise ValueError("the weights are nowhere; write `hub_id: OWNER/NAME` or `local_path: FOLDER`")
        return self


class RandomWeights(_Part):
    """Weights made on the spot from a configuration: for boot, memory and latency; its answers mean nothing."""

    kind: Literal["random"]
    config: PlainName = Field(description="Folder beside the specs with config.json.", examples=["qwen2-vl-2b"])
    seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of the generator.")


class MiniatureWeights(_Part):
    """A tiny random checkpoint of the model's own architecture, made on the spot; judged by its logits."""

    kind: Literal["miniature"]
    config: PlainName = Field(
        description="The published configuration: miniatures/NAME.json, or NAME/config.json, beside the specs.",
        examples=["qwen3"],
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of the generator.")


class CanaryWeights(_Part):
    """A small trained checkpoint that is kept beside the specs."""

    kind: Literal["canary"]
    folder: PlainName = Field(description="Folder beside the specs with the checkpoint.", examples=["canary"])


Weights = Annotated[HubWeights | RandomWeights | MiniatureWeights | CanaryWeights, Field(discriminator="kind")]


class EnginePackage(_Part):
    """A package the model needs with some engines only."""

    package: RequirementText = Field(description="Requirement to add to the lock.", examples=["qwen-vl-utils"])
    lmdeploy: VersionRange = Field(description="Versions of lmdeploy that need it.", examples=["'<0.15'"])


class Family(_Part):
    """What is known of a published configuration."""

    hub_id: HubId = Field(description="The model whose configuration it is.", examples=["Qwen/Qwen3-0.6B"])
    source: str = Field(min_length=1, description="Where the configuration was read.")
    licence: str = Field(default="not said", min_length=1, description="Licence of that model's weights.")
    models: tuple[str, ...] = Field(default=(), description="Names of models with the same architecture.")


class Memory(_Part):
    """What the model takes, in GiB. An estimate for planning; runs measure."""

    weights_gib: float = Field(ge=0, allow_inf_nan=False, description="The weights alone.", examples=[4.2])
    gpu_gib: float = Field(ge=0, allow_inf_nan=False, description="A GPU that serves it.", examples=[8])


class Families(RootModel[dict[PlainName, Family]]):
    """The file of families."""


class SmokeImage(_Part):
    """The picture of the first pass, drawn with flat colours."""

    pattern: Literal["quadrants"] = Field(description="What is drawn.", examples=["quadrants"])
    size: int = Field(ge=28, le=4096, description="Side of the square, in pixels.", examples=[448])
    colours: tuple[PlainName, PlainName, PlainName, PlainName] = Field(
        description="Top left, top right, bottom left, bottom right.", examples=["[red, blue, green, yellow]"]
    )


class SeePass(_Part):
    """Pass 1: a question, with the image before it where there is one, answered in text."""

    prompt: str = Field(min_length=1, description="The question; an image stands before it.", examples=["What is it?"])
    max_new_tokens: int = Field(ge=1, le=4096, description="Longest answer, in tokens.", examples=[64])
    judge: Literal["exact", "contains", "any", "logits"] = Field(
        description="exact: the answer is `expected`; contains: every expected text is in it, in any case; any: there "
        "is an answer, for weights whose answers mean nothing; logits: the numbers are those of transformers, for "
        "miniatures.",
        examples=["contains"],
    )
    expected: str | tuple[str, ...] | None = Field(
        default=None, description="What is right; several texts for `contains`, none for `any`."
    )

    @model_validator(mode="after")
    def _expected_fits_the_judge(self) -> SeePass:
        if self.judge in _UNSAID and self.expected is not None:
            raise ValueError(f"'judge: {self.judge}' takes no text; drop `expected` or use 'judge: contains'")
        if self.judge == "exact" and not isinstance(self.expected, str):
            raise ValueError("'judge: exact' compares with one text; write one text as `expected`")
        if self.judge == "contains" and not self.expected:
            raise ValueError("'judge: contains' needs something to look for; write it as `expected`")
        return self


class StructurePass(_Part):
    """Pass 2: text alone, answered as JSON."""

    prompt: str = Field(description="The request; {answer} stands for pass 1's answer.")
    max_new_tokens: int = Field(ge=1, le=4096, description="Longest answer, in tokens.", examples=[96])
    judge: Literal["json", "any", "logits"] = Field(
        description="json: the answer is this JSON, however it is laid out; any: there is an answer; logits: as above.",
        examples=["json"],
    )
    expected: dict[str, JsonValue] | None = Field(default=None, description="The facts that are right; none for `any`.")

    @model_validator(mode="after")
    def _fits(self) -> StructurePass:
        if "{answer}" not in self.prompt:
            raise ValueError("the prompt has no {answer}; put {answer} where pass 1's answer belongs")
        if (self.judge in _UNSAID) != (self.expected is None):
            raise ValueError(
                "'judge: json' needs the right facts and the other judges take none; write or drop `expected`"
            )
        return self


class Smoke(_Part):
    """The two-pass smoke test."""

    image: SmokeImage | None = Field(default=None, description="The picture that is shown; null: text alone.")
    see: SeePass = Field(description="Pass 1: image to text, or text to text.")
    structure: StructurePass = Field(description="Pass 2: text to JSON.")


class ModelSpec(_Part):
    """One model of the matrix."""

    name: PlainName = Field(description="The file's name without its ending.", examples=["canary"])
    title: str = Field(min_length=1, description="Name for people.", examples=["Qwen2-VL 2B Instruct"])
    architecture: ModuleName = Field(
        description="Class in config.json's `architectures`.", examples=["Qwen2VLForConditionalGeneration"]
    )
    model_type: PlainName = Field(description="`model_type` of config.json.", examples=["qwen2_vl"])
    quantisation: Quantisation = Field(description="How the weights are stored.", examples=["none"])
    weights: Weights = Field(description="Where the weights come from.")
    known_models: tuple[str, ...] = Field(
        default=(), description="Other models of the same architecture, by whose names a reader finds this one."
    )
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
    def folder(self) -> Path:
        """The folder of models that it is in."""
        return self._folder

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
        """The folder that holds config.json before there is a checkpoint; None where there is none.

        A miniature has its own, made along with it: the published one has other sizes.
        """
        match self.weights:
            case CanaryWeights(folder=name):
                return self._folder / name
            case MiniatureWeights() | HubWeights(config=None):
                return None
            case _:
                return self._folder / str(self.weights.config)

    @property
    def published_config(self) -> Path | None:
        """The published config.json beside the specs; None for a hub model that keeps none here."""
        if isinstance(self.weights, MiniatureWeights):
            return published_file(self._folder, self.weights.config)
        return self.config_folder / "config.json" if self.config_folder is not None else None

    def requirements_for(self, lmdeploy: Version) -> tuple[str, ...]:
        """What the model adds to a lock with that lmdeploy."""
        extra = (
            need.package
            for need in self.engine_packages
            if SpecifierSet(need.lmdeploy).contains(lmdeploy, prereleases=True)
        )
        return (*self.packages, *extra)


def published_file(folder: Path, name: str) -> Path:
    """Where the published config.json of that name stands beside the specs."""
    file = folder / MINIATURES / f"{name}.json"
    return file if file.is_file() else folder / name / "config.json"


def download_command(spec: ModelSpec) -> str:
    """The command that fetches a hub model into the hub's own cache.

    Raises:
        ValueError: the model is not on the hub.
    """
    if not isinstance(spec.weights, HubWeights) or spec.weights.hub_id is None:
        raise ValueError(f"{spec.name} is not fetched from the hub")
    command = ["uvx", "--from", "huggingface-hub", "hf", "download", spec.weights.hub_id]
    if spec.weights.revision is not None:
        command += ["--revision", spec.weights.revision]
    return shlex.join(command)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a model spec."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ModelSpec.model_json_schema()}
