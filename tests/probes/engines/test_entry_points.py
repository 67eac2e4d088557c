"""Each way to start, as people do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.probes.samples import Session

COMMAND_LINE = {
    "lmdeploy/__init__.py": "def pipeline(): pass",
    "lmdeploy/cli/entrypoint.py": """
        import sys
        def run():
            print("usage: lmdeploy", sys.argv[1:], "--backend")
            raise SystemExit(0)
    """,
    "lmdeploy/serve/openai/api_server.py": "import not_there",
}


def test_entry_points_are_facts_as_long_as_the_command_line_loads(session: Session) -> None:
    session.install(COMMAND_LINE)
    told = session.ask("entry-points")
    assert told.result["outcome"] == "pass"
    assert told.facts["entry_points"] == {
        "lmdeploy serve api_server": "exists",
        "lmdeploy.pipeline": "exists",
        "lmdeploy.serve.openai.api_server:serve": "ModuleNotFoundError: No module named 'not_there'",
        "python -m lmdeploy.serve.api_server": "missing",
    }


def test_a_command_line_without_the_server_fails(session: Session) -> None:
    refuse = "import sys\ndef run():\n    print('invalid choice: serve', file=sys.stderr)\n    raise SystemExit(2)"
    session.install({**COMMAND_LINE, "lmdeploy/cli/entrypoint.py": refuse})
    result = session.ask("entry-points").result
    assert (result["outcome"], result["reason"]) == ("fail", "entrypoint-moved-or-misused")
    assert result["message"] == "invalid choice: serve"


def test_the_legacy_module_is_started_as_people_do(session: Session) -> None:
    session.install({"lmdeploy/serve/__init__.py": ""})
    told = session.ask("launch-module")
    assert told.result["exception"]["type"] == "ModuleNotFoundError"
    assert told.result["exception"]["message"] == "No module named lmdeploy.serve.api_server"
    assert told.facts["exit_status"] == 1


def test_a_legacy_module_that_exists_passes(session: Session) -> None:
    session.install({"lmdeploy/serve/api_server.py": "print('usage')"})
    assert session.ask("launch-module").result["outcome"] == "pass"
