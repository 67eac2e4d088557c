"""What a report says, as plain data: the template's context, the page's data and ``report.json`` are this and no more.

Every text in it is already visible and bounded (see :mod:`harness.core.visible`); nothing in it is HTML.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from harness.core.comparison import Change
from harness.core.verdict import Reason, Stage, Status
from harness.engines import Backend
from harness.evidence.levels import Level
from harness.report.extras import GateView, IncidentsView, RemedyView, ScanView, TrendView


class Entry(BaseModel):
    """Base of everything in a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LogEntry(Entry):
    """The end of what a check printed."""

    lines: list[str]
    deciding: int | None = None
    """Index in ``lines`` of the line that decided; None when the diagnosis quotes none of them."""
    omitted: int = 0
    """Lines before these that the report does not carry."""


class FrameEntry(Entry):
    """One line of a traceback."""

    file: str
    line: int
    function: str
    text: str


class ExceptionEntry(Entry):
    """One exception of a chain."""

    type: str
    message: str
    frames: list[FrameEntry]
    frames_omitted: int = 0


class DiagnosisEntry(Entry):
    """What the catalogue of known failures says."""

    signature: str | None
    family: Reason
    captures: dict[str, str]
    confidence: float
    line: str
    title: str
    cause: str
    remedy: str
    source: str


class PassEntry(Entry):
    """One pass of the smoke test, as far as the check's facts tell."""

    stage: Stage
    prompt: str | None = None
    """What was asked, in plain words."""
    sent: str | None = None
    """The same after the chat template."""
    answer: str | None = None
    again: str | None = None
    """The second answer, when it differs from the first."""
    expected: JsonValue = None
    judge: str | None = None
    judged: bool = True
    """Whether the answer could be right or wrong: that of random weights means nothing."""
    latencies: list[float] = []
    """Seconds per request, in order; the first is cold."""
    first_token: list[float] = []
    """Seconds to the first token, in order."""
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    colours: list[str] = []
    """Of the image shown: top left, top right, bottom left, bottom right."""
    image_size: int | None = None


class GpuEntry(Entry):
    """What was seen on the card while the engine was up, MiB."""

    budget_mib: int | None = None
    """What the boot was allowed: the target's memory, or what the model's spec names."""
    peak_mib: int | None = None
    card_mib: int | None = None
    fits: bool | None = None
    alone: bool | None = None
    """Nobody else of the harness was on the card."""
    foreign_processes: int = 0
    tainted: bool = False
    """Somebody else used the card meanwhile: neither times nor memory are clean."""
    held: list[tuple[float, int]] = []
    """Memory over time: seconds since the lease began, and MiB."""


class EngineEntry(Entry):
    """The engine that came up."""

    requested: str | None = None
    actual: str | None = None
    kind: str | None = None
    """Its class, as read from the object."""
    device: str | None = None
    load_seconds: float | None = None
    settings: dict[str, JsonValue] = {}
    told: dict[str, JsonValue] = {}
    """Whatever else it said of itself."""


class CheckEntry(Entry):
    """One question of a stage and its answer; combinations share it by index."""

    name: str
    outcome: Status
    key: str
    seconds: float
    peak_memory_mib: float | None
    facts: dict[str, JsonValue]
    passes: list[PassEntry]
    exceptions: list[ExceptionEntry]
    """Outermost first, the root cause last."""
    diagnosis: DiagnosisEntry | None
    log: LogEntry | None


class StageEntry(Entry):
    """A stage that was reached."""

    stage: Stage
    verdict: str
    status: Status
    seconds: float
    checks: list[int]
    """Indices into the report's checks."""
    reused: list[int]
    """Those of ``checks`` whose answer came from an earlier, identical question."""


class AttemptEntry(Entry):
    """An attempt before the one shown."""

    attempt: int
    verdict: str
    finished: str


class CombinationEntry(Entry):
    """One point of the matrix, as its last attempt left it."""

    id: str
    attempt: int
    axes: dict[str, str]
    tags: list[str]
    verdict: str
    status: Status
    stage: Stage | None
    reason: Reason | None
    detail: str
    height: Stage | None
    """The highest stage that passed."""
    expected: str
    as_expected: bool | None
    note: str
    stages: list[StageEntry]
    decisive: int | None
    """Index of the check that decided the verdict."""
    cause: str | None
    """Id of its root-cause group; None for a pass."""
    stack: int | None
    """Index into the report's stacks."""
    differences: dict[str, str | None]
    """Packages that ran in another version than the stack's; None: not there at all."""
    engine: EngineEntry | None
    gpu: GpuEntry | None
    machine: int
    command: str
    started: str
    finished: str
    earlier: list[AttemptEntry]
    synthetic: bool
    beside: bool
    """Evidence for an answer, an incident or a remedy: no point of the matrix, so in no map or count."""
    source: str = ""
    """Which other machine's records it was read from; empty: this one's. Then its id ends in ``@`` and this name."""
    level: Level | None = None
    """What is known of its stack for its model, from any machine."""


class Stack(Entry):
    """An exact, locked set of packages."""

    lock: str | None
    packages: dict[str, str]


class Machine(Entry):
    """Where combinations ran."""

    os: str
    kernel: str
    wsl: bool
    cpu: str
    cores: int
    memory_mib: int
    gpus: list[str]
    gpu_memory_mib: list[int]
    driver: str | None


class Axis(Entry):
    """One dimension of the matrix."""

    name: str
    label: str
    values: list[str]


class Command(Entry):
    """Something to copy into a terminal or a file."""

    label: str
    text: str


class AnswerLine(Entry):
    """One sentence of an answer, and the combination it rests on."""

    text: str
    combination: int | None


class Recommendation(Entry):
    """What to use for one model on one backend, from everything that any machine has shown."""

    model: str
    backend: str
    level: Level
    words: str
    """The level as a reader is told it."""
    combination: int | None
    """Index of the combination that gives it its level, or, at level ``nothing``, of the one that came nearest."""
    shown: AnswerLine | None
    """What was shown, with what, on what, when."""
    not_shown: str
    """What no machine has shown."""
    memory: AnswerLine | None
    """GPU memory of this very model: measured with weights of its size, or an estimate that is called one."""
    against: list[AnswerLine]
    """Failures that stand against it, on whichever machine."""
    why: str
    """Why this one and not the next."""
    runner_up: str | None
    versions: dict[str, str]
    """The packages that matter, exact."""
    as_of: str | None
    """The day as of which the stack was resolved."""
    lock: str | None
    commands: list[Command]
    settings: str
    """Where the engine's settings in the commands come from."""
    target: str | None
    """The machine aimed at, in words, when the reader named one."""
    others: int
    """How many further stacks stand as high."""
    differences: dict[str, str | None]
    """Packages that ran in another version than the commands install; None: not there at all."""
    larger_card_gib: float | None
    """What it needs, where nothing fits the GPU of the machine aimed at; None: it fits."""


class Facet(Entry):
    """lmdeploy by transformers for one backend and one model."""

    backend: str
    model: str
    rows: list[str]
    """lmdeploy versions, newest first."""
    columns: list[str]
    """transformers versions, oldest first."""
    cells: list[list[list[int]]]
    """Combination indices, by row and column; an empty list is not in the matrix."""
    counts: dict[str, int]
    """Combinations by status."""


class MethodCell(Entry):
    """One quantisation method on one backend."""

    backend: str
    method: str
    best: list[int]
    """Index of the combination that came furthest, for each LMDeploy, newest first."""


class CauseGroup(Entry):
    """Combinations that did not pass for one and the same reason."""

    id: str
    status: Status
    signature: str | None
    family: Reason
    stages: list[Stage]
    captures: dict[str, str]
    title: str
    cause: str
    remedy: str
    source: str
    line: str
    combinations: list[int]
    where: dict[str, list[str]]
    """The axis values it was met at."""
    remedies: list[RemedyView]
    """Repairs that a run tried."""


class ChangeEntry(Entry):
    """One combination between two runs."""

    id: str
    change: Change
    before: str | None
    after: str | None
    combination: int | None


class MovedEntry(Entry):
    """Packages that moved between two runs, in the same way in all these combinations."""

    packages: list[list[str]]
    """Name, version before, version now."""
    combinations: list[int]


class Changes(Entry):
    """This run compared with an earlier one."""

    since: str
    counts: dict[str, int]
    entries: list[ChangeEntry]
    """Everything but ``same``."""
    moved: list[MovedEntry] = []
    """Stacks that are others than before, where those are known."""


class ModelFacts(Entry):
    """What the specs say of a model."""

    title: str
    hub_id: str | None
    architecture: str | None
    quantisation: str | None
    licence: str | None
    trust_remote_code: bool | None
    weights: str | None
    """``hub``, ``canary``, ``miniature`` or ``random``."""
    known_models: list[str]
    """Other models of the same architecture."""


class ArchitectureCell(Entry):
    """One architecture on one stack."""

    combination: int
    state: Status
    agrees: bool
    """The engine computes what transformers computes: on a GPU, or emulated."""
    ratio: float | None
    """Its error in units of transformers' own float16 error, root mean squares; None where it was not measured."""
    reason: str | None


class ArchitectureRow(Entry):
    """One architecture on every stack."""

    model: str
    architecture: str
    title: str
    known_models: list[str]
    best: list[str] | None
    """The answer's lmdeploy, transformers and backend; None: nothing speaks for any stack."""
    level: Level
    cells: list[ArchitectureCell | None]


class ArchitectureStack(Entry):
    """One column of the map of architectures."""

    lmdeploy: str
    transformers: str
    backend: str
    gpu: bool
    """The engine was asked on a GPU; otherwise it was emulated, if it came that far."""

    @property
    def place(self) -> str:
        """Which engine was asked, and on what."""
        return f"{self.backend}, {'GPU' if self.gpu else 'emulated' if self.backend == Backend.PYTORCH else 'no GPU'}"


class ArchitectureMap(Entry):
    """Architectures by stacks."""

    limits: str
    """What miniatures do not show."""
    stacks: list[ArchitectureStack]
    """Emulated ones first; of those that belong together the newest first."""
    rows: list[ArchitectureRow]


class SourceEntry(Entry):
    """One machine's records, as far as answers rest on them."""

    name: str
    """``this machine``, or the folder they are in."""
    records: int
    first: str
    last: str
    """When its last record was finished."""
    days: int
    """Age of that, when the report was made."""
    stale: bool
    """Older than releases of LMDeploy are apart."""
    machines: list[str]


class ReportContext(Entry):
    """A whole report."""

    schema_version: Literal[2] = 2
    generated: str
    """ISO 8601, UTC."""
    title: str
    harness: list[str]
    """Versions of the harness that wrote the records."""
    synthetic: bool
    """True when any record was made up."""
    started: str | None
    finished: str | None
    counts: dict[str, int]
    """Combinations by status; each is present."""
    unexpected: list[int]
    """Combinations that did not behave as the matrix expects."""
    flaky: list[int]
    """Combinations whose attempts disagreed."""
    axes: list[Axis]
    models: dict[str, ModelFacts]
    answers: list[Recommendation]
    """The one to lead with comes first."""
    facets: list[Facet]
    architectures: ArchitectureMap | None
    """Architectures by stacks, where there are miniatures."""
    methods: list[MethodCell]
    """Backends by quantisation method; empty when every model has the same."""
    measured: list[int]
    """Combinations with an engine on a GPU."""
    causes: list[CauseGroup]
    """Failures first, then what was not tested, each by number of combinations."""
    changes: Changes | None
    combinations: list[CombinationEntry]
    checks: list[CheckEntry]
    stacks: list[Stack]
    machines: list[Machine]
    sources: list[SourceEntry]
    """Whose records the answers rest on, this machine's first."""
    scan: ScanView | None
    incidents: IncidentsView | None
    gate: GateView | None
    trend: TrendView | None
