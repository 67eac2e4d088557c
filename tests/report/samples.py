"""Records made up to test the report, every one marked ``synthetic=True``: a small story, a big grid, and hostile ones.

The verdicts look like real ones so that the page can be judged; they are not results about any package.
"""

from __future__ import annotations

import hashlib
import json
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from harness.core.records import (
    CheckRecord,
    DiagnosisRecord,
    ExceptionRecord,
    FrameRecord,
    MachineRecord,
    Record,
    StageRecord,
)
from harness.core.verdict import Reason, Stage, Status, Verdict
from tests.report.troubles import (
    BEAM_SEARCH,
    GPTQ,
    IMAGES_KWARGS,
    NETWORK,
    NO_GPU,
    SAFETENSORS,
    SUBSTITUTED,
    WEIGHTS,
    WRONG,
    Trouble,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import JsonValue

START = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
MACHINE = MachineRecord(os="Debian 12", kernel="6.1.0", wsl=False, cpu="Example CPU", cores=2, memory_mib=24_000)
GPU_MACHINE = MachineRecord(
    os="Ubuntu 24.04",
    kernel="6.8.0",
    wsl=True,
    cpu="Example CPU",
    cores=16,
    memory_mib=64_000,
    gpus=["Example GPU"],
    gpu_memory_mib=[8192],
    driver="580.10",
)
CHECKS: dict[Stage, tuple[str, ...]] = {
    Stage.RESOLVE: ("uv-lock",),
    Stage.INSTALL: ("uv-sync",),
    Stage.IMPORT: ("engine-modules", "vision-builder", "entry-points", "model-requirements"),
    Stage.CONFIGURE: ("backend-support", "model-config", "model-graph"),
    Stage.PREPROCESS: ("image-and-prompt",),
    Stage.BOOT: ("two-pass",),
    Stage.SEE: ("two-pass",),
    Stage.STRUCTURE: ("two-pass",),
}


def digest(*parts: str) -> str:
    """A hash that looks like the real ones."""
    return hashlib.sha256("/".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def stack_of(lmdeploy: str, transformers: str, filler: int = 20) -> dict[str, str]:
    """A made-up lock."""
    draw = random.Random(f"{lmdeploy} {transformers}")  # noqa: S311 - made-up packages, not secrets
    stack = {
        "lmdeploy": lmdeploy,
        "transformers": transformers,
        "torch": "2.8.0" if lmdeploy < "0.12" else "2.10.0",
        "triton": "3.4.0" if lmdeploy < "0.12" else "3.6.0",
        "numpy": "2.3.5",
        "tokenizers": "0.22.1" if transformers < "5" else "0.23.0",
        "huggingface-hub": "0.36.0" if transformers < "5" else "1.2.0",
        "qwen-vl-utils": "0.0.14",
    }
    return stack | {f"package-{index:03}": f"1.{draw.randrange(4)}.{draw.randrange(3)}" for index in range(filler)}


def log_of(check: str, trouble: Trouble | None, seed: str) -> str:
    """What a child might have printed."""
    lines = [f"[{index:03}] {check}: loading part {index} of {seed}" for index in range(30)]
    if trouble is not None and trouble.exception[0]:
        lines.append("Traceback (most recent call last):")
        for file, line, function, text in trouble.frames:
            lines += [f'  File "{file}", line {line}, in {function}', f"    {text}"]
        lines += [f"{trouble.exception[0]}: {trouble.exception[1]}", "child ended with status 1"]
    return "\n".join(lines) + "\n"


IMAGE: dict[str, JsonValue] = {"pattern": "quadrants", "size": 112, "colours": ["red", "blue", "green", "yellow"]}
SEE: dict[str, JsonValue] = {
    "prompt": "What colours are in the four quarters of the picture?",
    "judge": "exact",
    "expected": "top left red, top right blue, bottom left green, bottom right yellow",
}
STRUCTURE: dict[str, JsonValue] = {
    "prompt": "Write these facts as JSON: {answer}",
    "judge": "json",
    "expected": {"top_left": "red", "top_right": "blue", "bottom_left": "green", "bottom_right": "yellow"},
}


def two_pass_facts(stage: Stage, seed: str, answer: str | None = None) -> dict[str, JsonValue]:
    """What a record has of one stage of the smoke test, with made-up latencies."""
    draw = random.Random(seed)  # noqa: S311 - made-up latencies, not secrets
    if stage is Stage.BOOT:
        return {"boot": {"load_seconds": round(9 + draw.random(), 3), "backend": "pytorch"}}
    if stage is Stage.SEE:
        told = answer or str(SEE["expected"])
        return {"see": _pass_facts(draw, str(SEE["prompt"]), told, image=True), "asked": SEE, "image": IMAGE}
    told = json.dumps(STRUCTURE["expected"])
    told_facts = _pass_facts(draw, "Write these facts as JSON: top left red, …", told, image=False)
    return {"structure": told_facts, "asked": STRUCTURE, "image": None}


def _pass_facts(draw: random.Random, question: str, answer: str, *, image: bool) -> JsonValue:
    times = [3.1 + draw.random(), *(0.24 + draw.random() / 20 for _ in range(6))]
    return {
        "question": question,
        "image": image,
        "answers": [answer, answer],
        "total_seconds": [round(time, 4) for time in times],
        "first_token_seconds": [round(time / 3, 4) for time in times],
        "prompt_tokens": 42,
        "new_tokens": [18, 18],
        "prompt": f"<|im_start|>user\n{question}<|im_end|>\n",
    }


def check_of(stage: Stage, name: str, seed: str, trouble: Trouble | None, seconds: float) -> CheckRecord:
    """One made-up answer; the same seed gives the same."""
    told = trouble if trouble is not None and (trouble.stage, trouble.check) == (stage, name) else None
    exception = None
    if told is not None and told.exception[0]:
        exception = ExceptionRecord(
            type=told.exception[0],
            message=told.exception[1],
            frames=[FrameRecord(file=f, line=n, function=fn, text=t) for f, n, fn, t in told.frames],
        )
    facts: dict[str, JsonValue] = {"python": "3.11.9"}
    if name == "two-pass" and (told is None or stage is Stage.SEE):
        facts |= two_pass_facts(stage, seed, None if told is None else "top left blue, top right blue")
    return CheckRecord(
        name=name,
        outcome=told.status if told else Status.PASS,
        key=digest(name, seed),
        seconds=seconds,
        peak_memory_mib=round(300 + 900 * seconds / 20, 1),
        facts=facts,
        exception=exception,
        diagnosis=_diagnosis(told) if told else None,
        log_tail=log_of(name, told, seed),
    )


def _diagnosis(trouble: Trouble) -> DiagnosisRecord:
    return DiagnosisRecord(
        signature=trouble.signature,
        family=trouble.reason,
        captures=dict(trouble.captures),
        confidence=0.95 if trouble.signature else 0.3,
        line=": ".join(trouble.exception) if trouble.exception[0] else "",
        title=trouble.title,
        cause=trouble.cause,
        remedy=trouble.remedy,
        source=trouble.source,
    )


def record_of(  # noqa: PLR0913 - a factory: one keyword for each thing a test varies
    axes: Mapping[str, str],
    trouble: Trouble | None = None,
    *,
    machine: MachineRecord = MACHINE,
    expected: str = "pass",
    attempt: int = 1,
    filler: int = 20,
    note: str = "",
) -> Record:
    """A made-up record of a combination that gets as far as ``trouble``, or passes."""
    name = "py{python}-lmdeploy{lmdeploy}-transformers{transformers}-{backend}-{model}".format(**axes)
    for extra in sorted(set(axes) - {"python", "lmdeploy", "transformers", "backend", "model"}):
        name += f"-{extra}{axes[extra]}"
    stack = stack_of(axes["lmdeploy"], axes["transformers"], filler)
    stages = list(_stages(axes, trouble))
    verdict = (
        Verdict(Status.PASS)
        if trouble is None
        else Verdict(trouble.status, trouble.stage, trouble.reason, trouble.detail)
    )
    started = START + timedelta(hours=attempt - 1, seconds=int(digest(name), 16) % 3000)
    decided = verdict.status in (Status.PASS, Status.FAIL)
    return Record(
        id=name,
        attempt=attempt,
        axes=dict(axes),
        tags=["synthetic"],
        verdict=str(verdict),
        expected=expected,
        as_expected=str(verdict).startswith(expected) if decided else None,
        note=note,
        stages=stages,
        lock=digest(*stack, *stack.values()),
        stack=stack,
        machine=machine,
        command=f"nox -s 'matrix({name})' -- --fresh",
        inputs=digest("inputs", name),
        harness="0.1.0",
        started=started,
        finished=started + timedelta(seconds=sum(stage.seconds for stage in stages)),
        synthetic=True,
    )


def _stages(axes: Mapping[str, str], trouble: Trouble | None) -> Iterable[StageRecord]:
    """The stages reached; checks of one stack are the same for all its models, as in a real run."""
    reference = axes["backend"] == "transformers"
    for stage, names in CHECKS.items():
        if stage in (Stage.CONFIGURE, Stage.PREPROCESS) and reference:
            continue
        seed = f"{axes['lmdeploy']} {axes['transformers']}"
        if stage.position >= Stage.CONFIGURE.position:
            seed += f" {axes['backend']} {axes['model']}"
        seconds = 1 + int(digest(stage, seed), 16) % 900 / 100
        checks = [check_of(stage, name, f"{seed} {stage}", trouble, round(seconds, 2)) for name in names]
        failing = trouble is not None and trouble.stage is stage
        verdict = Verdict(trouble.status, stage, trouble.reason, trouble.detail) if trouble and failing else None
        yield StageRecord(
            stage=stage,
            verdict=str(verdict or Verdict(Status.PASS, stage)),
            seconds=round(seconds * len(checks), 2),
            checks=checks,
        )
        if failing:
            return


def trouble_at(lmdeploy: str, transformers: str, backend: str, model: str) -> Trouble | None:
    """A rule that looks like the world: enough variety to judge the page, no claim about it."""
    old = transformers.startswith("4.3")
    if model == "qwen-vl-chat-int4" and not old:
        return BEAM_SEARCH
    if backend == "transformers":
        return SAFETENSORS._replace(check="model-requirements") if old else None
    if old:
        return IMAGES_KWARGS
    if lmdeploy.startswith("0.11") and transformers.startswith("5"):
        return SAFETENSORS
    if model == "qwen-vl-chat-int4" and backend == "pytorch":
        return GPTQ
    return WEIGHTS if model.startswith("qwen2") and transformers == "5.0.0" else NO_GPU


def on_gpu(
    record: Record, *, peak_mib: int = 6200, foreign: int = 0, actual: str | None = None, loud: bool = True
) -> Record:
    """The record as a host with a GPU would have written it: the card, the engine, packages other than the lock's."""
    backend = record.axes["backend"]
    held: list[JsonValue] = [[round(tick * 0.5, 2), min(peak_mib, 40 + tick * tick * 6)] for tick in range(60)]
    gpu: dict[str, JsonValue] = {
        "budget_mib": 8192,
        "peak_mib": peak_mib,
        "fits": peak_mib <= 8192,
        "card_mib": 81_559,
        "alone": True,
        "foreign_processes": foreign,
        "tainted": bool(foreign),
        "held_mib": held,
    }
    booted: dict[str, JsonValue] = {
        "load_seconds": 34.218,
        "requested": backend,
        "backend": actual or backend,
        "engine": f"lmdeploy.{actual or backend}.engine.engine.Engine",
        "settings": {"cache_max_entry_count": 0.0132, "session_len": 2048, "eager_mode": True},
        "device": "Example GPU",
    }
    stages = []
    for stage in record.stages:
        checks = [
            check.model_copy(update={"facts": {**check.facts, "boot": booted, "gpu": gpu}})
            if stage.stage is Stage.BOOT
            else check
            for check in stage.checks
        ]
        stages.append(stage.model_copy(update={"checks": checks}))
    apart = {"torch": "2.11.0+cu130", "numpy": "2.2.6", "package-003": None} if loud else {}
    return record.model_copy(update={"stages": stages, "differences": apart, "machine": GPU_MACHINE})


def story() -> list[Record]:
    """A small matrix with every state in it."""
    records = []
    for lmdeploy in ("0.11.1", "0.12.3", "0.14.0", "0.16.0", "0.18.0"):
        for transformers in ("4.38.2", "4.57.3", "5.0.0", "5.17.0", "5.23.0"):
            for backend in ("pytorch", "turbomind", "transformers"):
                for model in ("qwen2-vl-2b-instruct", "qwen-vl-chat-int4", "canary"):
                    axes = {
                        "python": "3.11",
                        "lmdeploy": lmdeploy,
                        "transformers": transformers,
                        "backend": backend,
                        "model": model,
                    }
                    records.append(record_of(axes, _story_trouble(axes), expected=_story_expectation(axes)))
    return records + _specials()


def _story_trouble(axes: Mapping[str, str]) -> Trouble | None:
    trouble = trouble_at(axes["lmdeploy"], axes["transformers"], axes["backend"], axes["model"])
    if (axes["lmdeploy"], axes["transformers"], axes["model"]) == ("0.16.0", "5.17.0", "canary"):
        return NETWORK
    if (axes["lmdeploy"], axes["transformers"], axes["backend"]) == ("0.12.3", "5.23.0", "transformers"):
        return WRONG if trouble is None else trouble
    return trouble


def _story_expectation(axes: Mapping[str, str]) -> str:
    return "fail" if axes["transformers"].startswith("4.38") else "pass"


def _specials() -> list[Record]:
    axes = {
        "python": "3.12",
        "lmdeploy": "0.18.0",
        "transformers": "5.17.0",
        "backend": "pytorch",
        "model": "canary",
    }
    excluded = Trouble(Stage.RESOLVE, "", Reason.EXCLUDED, Status.SKIPPED, "no wheels for this python yet")
    dated = {**axes, "python": "3.11", "as_of": "2026-01-04", "lmdeploy": "0.11.1", "transformers": "4.57.3"}
    skipped = record_of({**axes, "python": "3.14"}, excluded, note="no wheels for this python yet")
    turbomind = {**axes, "backend": "turbomind"}
    return [
        record_of(axes, SAFETENSORS, attempt=1, machine=GPU_MACHINE),
        on_gpu(record_of(axes, None, attempt=2, machine=GPU_MACHINE)),
        on_gpu(record_of(turbomind, None, machine=GPU_MACHINE), peak_mib=9420, foreign=1, loud=False),
        on_gpu(record_of({**turbomind, "lmdeploy": "0.14.0"}, SUBSTITUTED, machine=GPU_MACHINE), actual="pytorch"),
        record_of(dated, NO_GPU),
        skipped.model_copy(update={"stages": [], "stack": {}, "lock": None}),
    ]


def grid(count: int, filler: int = 150) -> Iterable[Record]:
    """``count`` made-up combinations over many versions, locks of a realistic size, and logs that differ."""
    lmdeploys = [f"0.{minor}.{patch}" for minor in range(4, 19) for patch in range(3)]
    transformers = [f"4.{minor}.0" for minor in range(30, 58)] + [f"5.{minor}.0" for minor in range(24)]
    made = 0
    for python in ("3.10", "3.11", "3.12"):
        for lmdeploy in lmdeploys:
            for version in transformers:
                for backend in ("pytorch", "turbomind"):
                    if made == count:
                        return
                    axes = {
                        "python": python,
                        "lmdeploy": lmdeploy,
                        "transformers": version,
                        "backend": backend,
                        "model": "canary" if made % 2 else "qwen2-vl-2b-instruct",
                    }
                    trouble = trouble_at(lmdeploy, version, backend, axes["model"])
                    if made % 37 == 0:
                        trouble = None
                    yield record_of(axes, trouble, filler=filler)
                    made += 1
