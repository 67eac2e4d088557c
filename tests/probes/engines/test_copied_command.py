"""A launch command that is copied from a report starts the engine with the settings that were measured."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from harness.engines import LAUNCHES, Launch
from harness.evidence.choice import Target, choose
from harness.evidence.predictions import Predictions
from harness.evidence.settings import launch_settings
from harness.evidence.sightings import Sighting
from harness.evidence.stacks import Knowledge
from harness.report.commands import commands_for
from tests.evidence.samples import SUBJECTS, record

if TYPE_CHECKING:
    from harness.evidence.stacks import Known
    from tests.probes.samples import Session

MEASURED = {"cache_max_entry_count": 0.0185, "session_len": 2048, "max_batch_size": 4, "eager_mode": True}
ENGINE = {
    "uvicorn.py": "def run(*_, **__): raise AssertionError('listening')",
    "lmdeploy/__init__.py": "",
    "lmdeploy/cli/entrypoint.py": """
        import argparse, json, os, sys, uvicorn
        def run():
            parser = argparse.ArgumentParser("lmdeploy")
            parser.add_argument("words", nargs=3)
            parser.add_argument("--backend")
            parser.add_argument("--server-port", type=int)
            parser.add_argument("--session-len", type=int)
            parser.add_argument("--max-batch-size", type=int)
            parser.add_argument("--cache-max-entry-count", type=float)
            parser.add_argument("--eager-mode", action="store_true")
            told = vars(parser.parse_args(sys.argv[1:]))
            with open(os.path.join(os.path.dirname(__file__), "told.json"), "w") as file:
                json.dump(told, file)
            uvicorn.run(app=None)
    """,
}


def measured(gpu: float | None) -> tuple[Knowledge, Known]:
    """A model that was served with those settings, as an 80 GB card allowed them."""
    ran = record("model", gpu={"peak_mib": 6160, "budget_mib": 8192}, launch="server")
    stages = [
        stage.model_copy(
            update={
                "checks": [
                    check.model_copy(update={"facts": check.facts | {"boot": {"settings": MEASURED}}})
                    if "boot" in check.facts
                    else check
                    for check in stage.checks
                ]
            }
        )
        for stage in ran.stages
    ]
    knowledge = Knowledge.of(SUBJECTS, [Sighting(ran.model_copy(update={"stages": stages}))], Predictions())
    best = choose(knowledge, "model", "pytorch", Target(gpu_gib=gpu)).best
    assert best is not None
    return knowledge, best


def copied(label: str, gpu: float | None = None) -> str:
    knowledge, known = measured(gpu)
    commands = {each.label: each.text for each in commands_for(knowledge, known, gpu, "locks/pylock.toml")}
    return commands[label]


def test_a_copied_launch_command_has_the_settings_that_were_measured(session: Session) -> None:

    session.install(ENGINE)
    arguments = shlex.split(copied("Launch the server, as it ran"))
    script = (
        "import sys\nfrom lmdeploy.cli.entrypoint import run\n\n\n"
        f"def main() -> None:\n    sys.argv = {arguments!r}\n    run()\n"
    )
    style = LAUNCHES[Launch.SERVER]
    assert style.check is not None
    told = session.ask(style.check.name, model={"folder": str(session.folder)}, engine={"script": script})
    assert told.result["message"] == "the server came up to where it listens"
    (found,) = session.folder.parent.rglob("told.json")
    engine = json.loads(found.read_text())
    assert {name: engine[name] for name in MEASURED} == MEASURED
    assert engine["backend"] == "pytorch"


@pytest.mark.parametrize(("gpu", "share"), [(None, 0.0185), (8.0, 0.38)])
def test_the_share_of_the_cache_is_measured_or_made_for_the_target(gpu: float | None, share: float) -> None:
    knowledge, known = measured(gpu)
    settings = launch_settings(knowledge, known, gpu)
    assert settings.fields["cache_max_entry_count"] == share
    assert {name: settings.fields[name] for name in MEASURED if name != "cache_max_entry_count"} == {
        name: value for name, value in MEASURED.items() if name != "cache_max_entry_count"
    }
    assert ("was 0.0185 there" in settings.origin) == (gpu is not None)


def test_what_the_matrix_told_the_engine_is_in_the_command() -> None:
    ran = record("model", launch="server")
    told = ran.model_copy(update={"axes": ran.axes | {"engine": "tp=2 session_len=8192"}})
    knowledge = Knowledge.of(SUBJECTS, [Sighting(told)], Predictions())
    best = choose(knowledge, "model", "pytorch", Target()).best
    assert best is not None
    texts = [each.text for each in commands_for(knowledge, best, None, "locks/pylock.toml")]
    assert any("--session-len 8192" in each and "--tp 2" in each for each in texts)
    assert any("tp=2" in each for each in texts)
