"""What a child's events and its end amount to. Events are hostile input, and read here alone, for one check.

The process that writes them has loaded what is being tested, which can write there as well. So they count only as far
as a probe that was asked this check could have written them; anything else makes the check's result a crash, never a
pass. What they cannot show is that a pass is true: a package that imitates a probe to the letter is believed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from harness.core.records import ExceptionRecord
from harness.core.verdict import Reason, Stage, Status
from harness.pipeline.check_cache import CheckResult, StageResult
from harness.process.child import LOG_TAIL, MAX_EVENT_BYTES
from harness.process.redaction import redact_tree

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from harness.engines import Check
    from harness.process.child import ChildReport

_DEEPEST = 32
"""Lists and objects in each other; an exception with all its causes has a dozen."""
_LARGEST_INTEGER = 2**63
_A_PROBES = frozenset({Status.PASS, Status.FAIL, Status.BLOCKED})
_NOT_A_PROBES = frozenset(
    {Reason.RESOLVER_CONFLICT, Reason.HUB_NETWORK, Reason.OUT_OF_MEMORY, Reason.CRASH, Reason.EXCLUDED}
)
"""Reasons that the harness alone gives, or that would make trouble of the machine's out of a package's."""
_FROM_OUTSIDE = frozenset({"SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGPWR"})
"""Signals of people, terminals, limits and power supplies; no fault of a package ends with one."""
_FACTS_OF_OURS = frozenset({"sandbox", "processes_left_behind", "gpu", "asked"})


class Spoilt(ValueError):  # noqa: N818 - reads as what it says of the events
    """The events are not what a probe writes that is asked this check; the message says where and why."""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Start(_Event):
    event: Literal["start"]
    check: str
    pid: int
    python: str


class _Fact(_Event):
    event: Literal["fact"]
    name: str
    value: JsonValue


class _Progress(_Event):
    event: Literal["progress"]
    text: str


class _Result(_Event):
    event: Literal["result"]
    stage: Stage
    outcome: Status
    message: str
    reason: Reason | None
    exception: ExceptionRecord | None
    seconds: float = Field(ge=0)


class _End(_Event):
    event: Literal["end"]


_Any = Annotated[_Start | _Fact | _Progress | _Result | _End, Field(discriminator="event")]
_EVENT: TypeAdapter[_Start | _Fact | _Progress | _Result | _End] = TypeAdapter(_Any)


def read_report(key: str, check: Check, report: ChildReport, impossible: Collection[Stage] = ()) -> CheckResult:
    """What a child's events and end amount to.

    The events are the truth. Stages they do not answer are answered by how the child ended, for the first of them
    only: what would have come after it was not reached.

    Args:
        key: the result's.
        check: what was asked.
        report: how the child ended.
        impossible: stages that cannot pass on this machine.
    """
    try:
        stages = _results(_events(report, check), check, impossible)
    except Spoilt as spoilt:
        message = f"its events are not what a probe writes: {spoilt}"
        stages = [StageResult(stage=check.stages[0], outcome=Status.FAIL, reason=Reason.CRASH, message=message)]
    else:
        silent = check.stages[len(stages) :]
        if silent and all(each.outcome is Status.PASS for each in stages):
            stages.append(_unsaid(silent[0], report))
        if report.end == "disk" and stages[-1].outcome is not Status.PASS:
            stages[-1] = _unsaid(stages[-1].stage, report)
    if report.sandbox:
        stages[0] = _with_fact(stages[0], "sandbox", report.sandbox)
    if report.leaked:
        stages[-1] = _with_fact(stages[-1], "processes_left_behind", report.leaked)
    return CheckResult(
        key=key,
        check=check.name,
        stages=stages,
        seconds=report.seconds,
        peak_memory_mib=report.peak_memory_mib or None,
        log_tail=report.log[-LOG_TAIL:],
        final=not any(each.outcome is Status.INFRA or each.reason is Reason.TIMEOUT for each in stages),
    )


def _events(report: ChildReport, check: Check) -> list[_Fact | _Result]:
    """The facts and results, in the order in which they were written.

    A last line without an end is left out: the child died while it wrote that.

    Raises:
        Spoilt: a probe does not write such events.
    """
    if report.spoilt:
        raise Spoilt(report.spoilt)
    if len(report.events) > MAX_EVENT_BYTES:
        raise Spoilt(f"more than {MAX_EVENT_BYTES // 2**20} MiB")
    *lines, _ = report.events.split(b"\n")
    found: list[_Fact | _Result] = []
    for number, line in enumerate(lines, start=1):
        try:
            event = _EVENT.validate_json(line)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, problem["loc"]))
            raise Spoilt(f"line {number}: {f'{where}: ' if where else ''}{problem['msg']}") from error
        if isinstance(event, _Start) != (number == 1) or (isinstance(event, _Start) and event.check != check.name):
            raise Spoilt(f"line {number}: they begin with the start of another check, or begin twice")
        if isinstance(event, _End) and number < len(lines):
            raise Spoilt(f"line {number}: they go on after their end")
        if isinstance(event, _Fact | _Result):
            _look_at(event.model_dump(), number)
            found.append(event)
    return found


def _look_at(event: JsonValue, number: int) -> None:
    """See to it that an event holds numbers and depths that everybody can work with.

    Raises:
        Spoilt: it does not.
    """
    waiting = [(event, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise Spoilt(f"line {number}: more than {_DEEPEST} lists and objects in each other")
        if isinstance(value, dict):
            waiting += [(each, depth + 1) for each in value.values()]
        elif isinstance(value, list):
            waiting += [(each, depth + 1) for each in value]
        elif isinstance(value, float) and not math.isfinite(value):
            raise Spoilt(f"line {number}: {value} is not a number")
        elif isinstance(value, int) and abs(value) >= _LARGEST_INTEGER:
            raise Spoilt(f"line {number}: a number beyond all bounds")


def _results(events: Sequence[_Fact | _Result], check: Check, impossible: Collection[Stage]) -> list[StageResult]:
    """The results, each with the facts that came before it; late facts go to the last one.

    Raises:
        Spoilt: a probe that is asked this check does not answer so.
    """
    results: list[StageResult] = []
    facts: dict[str, JsonValue] = {}
    for event in events:
        if isinstance(event, _Fact):
            if event.name in _FACTS_OF_OURS:
                raise Spoilt(f"only the harness itself knows the fact {event.name}")
            facts[event.name] = event.value
        else:
            _look_at_result(event, results, check, impossible)
            said = event.model_dump(exclude={"event"})
            results.append(StageResult.model_validate(redact_tree({**said, "facts": facts})))
            facts = {}
    if facts and results:
        results[-1] = results[-1].model_copy(update={"facts": results[-1].facts | redact_tree(facts)})
    return results


def _look_at_result(
    result: _Result, before: Sequence[StageResult], check: Check, impossible: Collection[Stage]
) -> None:
    """See to it that a result is the next that this check can have.

    Raises:
        Spoilt: it is not.
    """
    passed = result.outcome is Status.PASS
    if any(each.outcome is not Status.PASS for each in before):
        raise Spoilt(f"{result.stage} has a result although the stage before it did not pass")
    if [*(each.stage for each in before), result.stage] != list(check.stages[: len(before) + 1]):
        raise Spoilt(f"a result of {result.stage}, which is not the next stage of {check.name}")
    if passed and (result.reason is not None or result.exception is not None):
        raise Spoilt(f"{result.stage} passed for a reason")
    if result.outcome not in _A_PROBES or result.reason in _NOT_A_PROBES:
        raise Spoilt(f"{result.outcome} ({result.reason}) is not a probe's to say")
    if passed and result.stage in impossible:
        raise Spoilt(f"{result.stage} passed, which it cannot on this machine")


def _with_fact(result: StageResult, name: str, value: JsonValue) -> StageResult:
    return result.model_copy(update={"facts": {**result.facts, name: value}})


def _unsaid(stage: Stage, report: ChildReport) -> StageResult:
    """What the end of a child that did not answer says of the stage."""
    status, reason, message = _end_means(report)
    return StageResult(stage=stage, outcome=status, reason=reason, message=message, seconds=report.seconds)


def _end_means(report: ChildReport) -> tuple[Status, Reason, str]:  # noqa: C901, PLR0911 - one for each way to end
    match report.end:
        case "wall":
            return Status.FAIL, Reason.TIMEOUT, f"wall limit: still running after {report.seconds:.0f} s"
        case "idle":
            return (
                Status.FAIL,
                Reason.TIMEOUT,
                f"idle limit: no sign of life any more, ended after {report.seconds:.0f} s",
            )
        case "memory":
            return (
                Status.FAIL,
                Reason.OUT_OF_MEMORY,
                f"memory ceiling: at {report.peak_memory_mib:.0f} MiB when it was ended",
            )
        case "processes":
            return Status.FAIL, Reason.CRASH, "process ceiling: started more processes than allowed"
        case "scratch":
            return Status.FAIL, Reason.CRASH, "scratch ceiling: wrote more than its folder may hold"
        case "disk":
            return Status.INFRA, Reason.PLATFORM, "the disk was full when it ended"
        case "not-started":
            return Status.INFRA, Reason.CRASH, f"could not be started: {report.message}"
    if report.signal_name == "SIGKILL":
        return Status.INFRA, Reason.OUT_OF_MEMORY, "killed from outside (SIGKILL), most often for want of memory"
    if report.signal_name in _FROM_OUTSIDE:
        return Status.INFRA, Reason.CRASH, f"ended from outside ({report.signal_name})"
    if report.signal_name is not None:
        return Status.FAIL, Reason.CRASH, report.signal_name
    return Status.FAIL, Reason.CRASH, f"ended with {report.exit_code} and no record"
