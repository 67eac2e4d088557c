"""The answer a report starts with: which stack to use for a model on a backend, and what was shown of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.core.verdict import Stage, Status
from harness.core.versions import version_key
from harness.engines import configuration_of
from harness.report.axes import backend_key
from harness.report.commands import commands_for
from harness.report.model import Recommendation, Support
from harness.report.wording import CLAIMS, FAMILIES, REFERENCE_CLAIM, UNJUDGED_CLAIM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.report.extras import Choice
    from harness.report.model import CheckEntry, CombinationEntry, Level, Machine, ModelFacts, Stack

KEY_PACKAGES = (
    "lmdeploy",
    "transformers",
    "torch",
    "triton",
    "tokenizers",
    "huggingface-hub",
    "numpy",
    "qwen-vl-utils",
)
"""The packages that an answer names; the whole stack is a click away."""
MAX_SUPPORT = 4
MAX_NAMED = 4
"""Differing packages that a sentence names."""
_LEVELS: tuple[Level, ...] = ("proven", "partial", "none")
_PROOF = (Stage.BOOT, Stage.SEE, Stage.STRUCTURE)
"""The stages without which nothing is proven to work."""


class Findings(NamedTuple):
    """What an answer is chosen from."""

    combinations: Sequence[CombinationEntry]
    stacks: Sequence[Stack]
    machines: Sequence[Machine]
    checks: Sequence[CheckEntry]
    models: Mapping[str, ModelFacts]
    locks: str
    """Folder of the locks, relative to where the commands are run."""


def answers_of(findings: Findings, choice: Choice | None) -> list[Recommendation]:
    """One answer for each model and backend met, the one to lead with first.

    Leading: the reader's choice if there is one; otherwise LMDeploy's engines before the transformers reference,
    real models before the canary, the higher level first.
    """
    members: dict[tuple[str, str], list[int]] = {}
    for index, entry in enumerate(findings.combinations):
        if "model" in entry.axes and "backend" in entry.axes:
            members.setdefault((entry.axes["model"], entry.axes["backend"]), []).append(index)
    chooser = _Chooser(findings, choice)
    answers = [chooser.answer(model, backend, indices) for (model, backend), indices in members.items()]
    return sorted(answers, key=lambda answer: _lead(answer, choice))


def _lead(
    answer: Recommendation, choice: Choice | None
) -> tuple[bool, bool, bool, bool, bool, int, str, tuple[int, str]]:
    is_model = choice is not None and choice.model == answer.model
    is_backend = is_model and choice is not None and choice.backend == answer.backend
    return (
        not is_model,
        not is_backend,
        answer.level == "none",
        configuration_of(answer.backend) is None,
        answer.model.startswith("canary"),
        _LEVELS.index(answer.level),
        answer.model,
        backend_key(answer.backend),
    )


class _Chooser:
    """Picks the best of each group, with what speaks for it."""

    def __init__(self, findings: Findings, choice: Choice | None) -> None:
        self._findings = findings
        self._choice = choice
        self._supporters: dict[tuple[str, ...], list[int]] = {}
        for index, entry in enumerate(findings.combinations):
            if entry.status is Status.PASS and _complete(entry):
                self._supporters.setdefault(_versions_key(entry), []).append(index)

    def answer(self, model: str, backend: str, indices: Sequence[int]) -> Recommendation:
        """The answer for one model on one backend."""
        findings, choice = self._findings, self._choice
        level, candidates = _best(indices, findings.combinations)
        found = level != "none"
        support = {index: _support(index, findings.combinations, self._supporters) for index in candidates or indices}
        best = max(candidates or indices, key=lambda index: self._merit(index, support))
        entry = findings.combinations[best]
        stack = None if entry.stack is None else findings.stacks[entry.stack]
        return Recommendation(
            model=model,
            backend=backend,
            level=level,
            claim=self._claim(level, entry),
            combination=best,
            rank=_rank(level, len(candidates)),
            proven=_proven(entry, findings.machines[entry.machine]) if found else [],
            not_proven=_not_proven(entry) + (_unlike_lock(entry) if found else []),
            support=support[best] if found else [],
            versions=_versions(entry, stack),
            commands=commands_for(entry, stack, findings.models.get(model), findings.locks) if found else [],
            target=choice.target if choice is not None and choice.model == model else None,
            others=max(0, len(candidates) - 1),
            differences=entry.differences if found else {},
        )

    def _claim(self, level: Level, entry: CombinationEntry) -> str:
        if level != "proven":
            return CLAIMS[level]
        indices = {index for stage in entry.stages for index in stage.checks}
        if any(not found.judged for index in indices for found in self._findings.checks[index].passes):
            return UNJUDGED_CLAIM
        return REFERENCE_CLAIM if configuration_of(entry.axes["backend"]) is None else CLAIMS[level]

    def _merit(self, index: int, support: Mapping[int, Sequence[Support]]) -> tuple[int, bool, int, object]:
        entry = self._findings.combinations[index]
        height = -1 if entry.height is None else entry.height.position
        newest = tuple(version_key(entry.axes.get(name, "")) for name in ("lmdeploy", "transformers", "python"))
        return (height, not entry.differences, len(support[index]), newest)


def _best(indices: Sequence[int], combinations: Sequence[CombinationEntry]) -> tuple[Level, list[int]]:
    passed = [index for index in indices if combinations[index].status is Status.PASS]
    complete = [index for index in passed if _complete(combinations[index])]
    if complete:
        return "proven", complete
    # A pass that never asked for an answer claims no more than a partial one does.
    partial = passed + [index for index in indices if _blocked_late(combinations[index])]
    return ("partial", partial) if partial else ("none", [])


def _blocked_late(entry: CombinationEntry) -> bool:
    """Whether something was learned of the versions before the machine's lack stopped it."""
    imported = entry.height is not None and entry.height.position >= Stage.IMPORT.position
    return entry.status is Status.BLOCKED and imported


def _complete(entry: CombinationEntry) -> bool:
    return set(_PROOF) <= {stage.stage for stage in entry.stages if stage.status is Status.PASS}


def _versions_key(entry: CombinationEntry) -> tuple[str, ...]:
    return (entry.axes.get("lmdeploy", ""), entry.axes.get("transformers", ""))


def _support(
    index: int, combinations: Sequence[CombinationEntry], supporters: Mapping[tuple[str, ...], Sequence[int]]
) -> list[Support]:
    """Whole passes of others with the same lmdeploy and transformers: same backend, or same model on the reference."""
    entry = combinations[index]
    found = []
    for place in supporters.get(_versions_key(entry), ()):
        other = combinations[place]
        same_backend = other.axes["backend"] == entry.axes["backend"] and other.axes["model"] != entry.axes["model"]
        same_model = other.axes["model"] == entry.axes["model"] and other.axes["backend"] != entry.axes["backend"]
        if not same_backend and not same_model:
            continue
        lock = " and the same lock" if other.stack == entry.stack and entry.stack is not None else ""
        subject = other.axes["model"] if same_backend else "the same model"
        text = f"{subject} passed every stage on {other.axes['backend']}, with the same versions{lock}."
        found.append((not same_backend, text, Support(text=text[0].upper() + text[1:], combination=place)))
    distinct = {text: (weaker, view) for weaker, text, view in found}
    return [view for _, view in sorted(distinct.values(), key=lambda item: (item[0], item[1].text))][:MAX_SUPPORT]


def _rank(level: Level, count: int) -> str:
    if level == "none":
        return "This one came nearest."
    if count == 1:
        return "The only combination that came this far."
    group = "passed every stage" if level == "proven" else "passed all that could be run here"
    return f"Of {count:,} combinations that {group}: the one that came furthest, then best supported, then newest."


def _proven(entry: CombinationEntry, machine: Machine) -> list[str]:
    passed = [stage.stage for stage in entry.stages if stage.status is Status.PASS]
    where = ", ".join(machine.gpus) if machine.gpus else "no GPU"
    names = ", ".join(f"{stage} (emulated)" if stage is Stage.EMULATE else stage for stage in passed)
    where += f", driver {machine.driver}" if machine.driver else ""
    return [
        *([f"Passed: {names}."] if names else []),
        f"Tested {entry.finished[:10]} on {machine.os}{' under WSL2' if machine.wsl else ''}, {where}.",
        *_memory(entry),
    ]


def _memory(entry: CombinationEntry) -> list[str]:
    gpu = entry.gpu
    if gpu is None or gpu.peak_mib is None or gpu.budget_mib is None:
        return []
    apart = abs(gpu.budget_mib - gpu.peak_mib) / 1024
    room = f"{gpu.peak_mib / 1024:.1f} of {gpu.budget_mib / 1024:.1f} GiB of GPU memory"
    return [f"Took {room}: fits, {apart:.1f} GiB to spare." if gpu.fits else f"Took {room}: {apart:.1f} GiB too much."]


def _unlike_lock(entry: CombinationEntry) -> list[str]:
    """What the run says nothing of because the machine's own packages took the place of the lock's."""
    if not entry.differences:
        return []
    count = len(entry.differences)
    named = sorted(entry.differences, key=lambda name: (name not in KEY_PACKAGES, name))[:MAX_NAMED]
    words = ", ".join(f"{name} {entry.differences[name] or 'absent'}" for name in named)
    rest = f" and {count - len(named)} more" if count > len(named) else ""
    verb = "was" if count == 1 else "were"
    return [f"{count} {'package' if count == 1 else 'packages'} {verb} not the lock's when it ran: {words}{rest}."]


def _not_proven(entry: CombinationEntry) -> list[str]:
    passed = {stage.stage for stage in entry.stages if stage.status is Status.PASS}
    missing = [stage for stage in _PROOF if stage not in passed]
    if not missing:
        return []
    words = ", ".join(missing[:-1]) + (" and " if len(missing) > 1 else "") + missing[-1]
    if entry.reason is None or entry.stage is None:
        return [f"Not run: {words}."]
    verb = "Failed" if entry.status is Status.FAIL else "Stopped"
    return [f"{verb} at {entry.stage}: {FAMILIES[entry.reason]}", f"So nothing is known of {words}."]


def _versions(entry: CombinationEntry, stack: Stack | None) -> dict[str, str]:
    versions = {"python": entry.axes["python"]} if "python" in entry.axes else {}
    packages = stack.packages if stack else {name: entry.axes[name] for name in KEY_PACKAGES if name in entry.axes}
    ran = {name: entry.differences.get(name, version) for name, version in packages.items()}
    # a wheel that travelled without some of its files is told of among the differences; its version is what counts here
    versions.update(
        (name, version.partition(" ")[0]) for name in KEY_PACKAGES if (version := ran.get(name)) is not None
    )
    return versions
