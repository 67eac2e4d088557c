"""Probes as whole processes: whatever a tested package does, the events file tells the truth about it."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.probes.samples import Session

BUILDER = "lmdeploy/vl/model/builder.py"
BASE = "lmdeploy/vl/model/base.py"


def builder(text: str) -> dict[str, str]:
    """A made-up lmdeploy whose vision builder runs ``text`` when imported."""
    return {BUILDER: text, BASE: "class VISION_MODELS:\n    module_dict = {'Two': 2, 'One': 1}\n"}


def test_events_of_a_check_that_passes(session: Session) -> None:
    session.install(builder("print('noise')"))
    told = session.ask("vision-builder")
    assert told.kinds == ["start", "fact", "result", "end"]
    assert told.events[0]["check"] == "vision-builder"
    assert told.facts == {"vision_models": ["One", "Two"]}
    result = told.result
    assert (result["stage"], result["outcome"], result["reason"], result["exception"]) == ("import", "pass", None, None)
    assert result["seconds"] >= 0
    assert (told.exit_status, told.log) == (0, "noise\n")


def test_a_missing_name_is_told_with_its_frames_and_without_the_environments_folder(session: Session) -> None:
    session.install(
        {
            **builder("from .gemma import Model"),
            "lmdeploy/vl/model/gemma.py": "from transformers.utils import ImagesKwargs",
            "transformers/utils.py": "",
        }
    )
    told = session.ask("vision-builder")
    exception = told.result["exception"]
    assert told.result["outcome"] == "fail"
    assert exception["type"] == "ImportError"
    assert exception["message"] == (
        "cannot import name 'ImagesKwargs' from 'transformers.utils' (transformers/utils.py)"
    )
    assert [frame["file"] for frame in exception["frames"]][-2:] == [BUILDER, "lmdeploy/vl/model/gemma.py"]
    assert exception["frames"][-1]["text"] == "from transformers.utils import ImagesKwargs"
    assert not any("importlib" in frame["file"] for frame in exception["frames"][-2:])


def test_causes_lead_to_the_root(session: Session) -> None:
    session.install(
        builder(
            """
            try:
                {}["qwen2_vl"]
            except KeyError as error:
                raise ValueError("not recognised") from error
            """
        )
    )
    exception = session.ask("vision-builder").result["exception"]
    assert (exception["type"], exception["cause"]["type"]) == ("ValueError", "KeyError")
    assert exception["cause"]["cause"] is None


def test_an_exit_in_an_import_is_told_with_the_error_logged_before_it(session: Session) -> None:
    session.install(
        builder(
            """
            import logging, sys
            logging.getLogger("lmdeploy").error("<Triton> check \033[31m%s\033[0m!", "failed")
            sys.exit(1)
            """
        )
    )
    told = session.ask("vision-builder")
    assert told.result["outcome"] == "fail"
    assert told.result["exception"]["type"] == "SystemExit"
    assert told.result["exception"]["message"] == "exit(1) after the error log: <Triton> check failed!"
    assert told.kinds[-1] == "end"


def test_an_abort_leaves_a_started_record_without_a_result(session: Session) -> None:
    session.install(builder("import os; os.abort()"))
    told = session.ask("vision-builder")
    assert told.exit_status == -signal.SIGABRT
    assert told.kinds == ["start"]
    assert "builder.py" in told.log, "the stack is shown on standard error"


@pytest.mark.parametrize(
    "mischief",
    [
        pytest.param("import os; os.closerange(0, 64)", id="closes every descriptor"),
        pytest.param("import sys; sys.stdout.close(); sys.stderr.close()", id="closes the streams"),
        pytest.param("import os; os.fork()", id="forks and both run on"),
        pytest.param("import sys; sys.stdout = sys.stderr = None", id="takes the streams away"),
        pytest.param("import os; os.chdir('/')", id="changes folder"),
        pytest.param("import atexit, os; atexit.register(os.abort)", id="dies on the way out"),
        pytest.param("import threading, time; threading.Thread(target=time.sleep, args=(90,)).start()", id="lingers"),
        pytest.param("import os; os.environ.clear()", id="clears the environment"),
    ],
)
def test_mischief_that_breaks_nothing_passes(session: Session, mischief: str) -> None:
    session.install(builder(mischief))
    told = session.ask("vision-builder")
    assert told.kinds == ["start", "fact", "result", "end"]
    assert (told.result["outcome"], told.exit_status) == ("pass", 0)


def test_a_process_that_an_engine_spawns_does_not_answer_again(session: Session) -> None:
    session.install(
        {
            **builder("from lmdeploy.work import answer; assert answer() == 42"),
            "lmdeploy/work.py": """
                import multiprocessing
                from concurrent.futures import ProcessPoolExecutor

                def double(number):
                    return 2 * number

                def answer():
                    context = multiprocessing.get_context("spawn")
                    with ProcessPoolExecutor(1, mp_context=context) as pool:
                        return pool.submit(double, 21).result()
            """,
        }
    )
    told = session.ask("vision-builder")
    assert told.kinds == ["start", "fact", "result", "end"]
    assert told.result["outcome"] == "pass", told.log


def test_a_bottomless_traceback_and_an_endless_message_are_bounded(session: Session) -> None:
    session.install(
        builder(
            """
            def fall():
                try:
                    fall()
                except RecursionError:
                    raise ValueError("x" * 100_000 + "\\udcff the end") from None
            fall()
            """
        )
    )
    exception = session.ask("vision-builder").result["exception"]
    assert len(exception["frames"]) <= 40
    assert exception["frames"][-1]["function"] == "fall"
    assert len(exception["message"]) < 5000
    assert exception["message"].endswith("the end")


def test_an_exception_that_cannot_be_printed_is_still_told(session: Session) -> None:
    session.install(
        builder(
            """
            class Odd(Exception):
                def __str__(self):
                    raise RuntimeError
            raise Odd
            """
        )
    )
    exception = session.ask("vision-builder").result["exception"]
    assert exception["type"] == "lmdeploy.vl.model.builder.Odd"
    assert "could not be read" in exception["message"]


def test_nothing_of_the_probes_hides_a_module_of_the_environment(session: Session) -> None:
    session.install({**builder("import events; assert events.MINE"), "events.py": "MINE = True"})
    assert session.ask("vision-builder").result["outcome"] == "pass"


def asked_of(probe: str) -> str:
    return json.dumps({**dict.fromkeys(("check", "stage", "backend", "events", "scratch"), "e"), "probe": probe})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "start.py:"),
        ("[]", "does not hold a request"),
        ('{"check": "vision-builder"}', "is not a request"),
        (asked_of("engines.nonsense:check"), "no probe is at 'engines.nonsense:check': No module named"),
        (asked_of("engines.imports:nonsense"), "no probe is at 'engines.imports:nonsense': module"),
        (asked_of("nonsense"), "no probe is at 'nonsense': not enough values"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_in_words(session: Session, text: str, words: str) -> None:
    path = session.folder / "bad.json"
    path.write_text(text)
    ended = session.start(path)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("check", ["backend-support", "model-config", "model-graph", "image-and-prompt", "two-pass"])
def test_a_model_that_is_not_here_blocks(session: Session, check: str) -> None:
    session.install({"lmdeploy/pytorch/models/module_map.py": "MODULE_MAP = {}"})
    result = session.ask(check, "transformers" if check == "two-pass" else "pytorch").result
    assert (result["outcome"], result["reason"]) == ("blocked", "weights-missing-or-corrupt")
