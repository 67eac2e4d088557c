"""Ways to start the server, tried up to where it would listen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.engines import LAUNCHES, Launch, configuration_of

if TYPE_CHECKING:
    from tests.probes.samples import Session, Told

SERVER = {
    "uvicorn.py": "def run(*_, **__): raise AssertionError('listening')",
    "lmdeploy/__init__.py": "class PytorchEngineConfig: device_type = 'cuda'",
    "lmdeploy/serve/openai/api_server.py": """
        import uvicorn
        def serve(folder, backend, backend_config, server_port):
            assert backend == "pytorch"
            backend_config.device_type
            uvicorn.run(app=None)
    """,
    "lmdeploy/cli/entrypoint.py": """
        import sys, uvicorn
        def run():
            assert sys.argv[:3] == ["lmdeploy", "serve", "api_server"], sys.argv
            assert sys.argv[4:] == ["--backend", "pytorch"], sys.argv
            uvicorn.run(app=None)
    """,
}


def tried(session: Session, launch: Launch) -> Told:
    session.install(SERVER)
    style, configuration, folder = LAUNCHES[launch], configuration_of("pytorch"), str(session.folder)
    assert style.check is not None
    assert style.script is not None
    assert configuration is not None
    engine = {"script": style.script(configuration, folder, {})}
    return session.ask(style.check.name, model={"folder": folder}, engine=engine)


def test_a_server_without_an_engine_configuration_fails_as_its_version_does(session: Session) -> None:
    result = tried(session, Launch.NO_BACKEND_CONFIG).result
    assert (result["stage"], result["outcome"]) == ("boot", "fail")
    assert result["exception"]["message"] == "'NoneType' object has no attribute 'device_type'"
    assert result["exception"]["frames"][-1]["text"] == "backend_config.device_type"


@pytest.mark.parametrize("launch", [Launch.LAUNCH_SCRIPT, Launch.SERVER])
def test_a_server_that_gets_as_far_as_listening_passes(session: Session, launch: Launch) -> None:
    told = tried(session, launch)
    assert (told.result["outcome"], told.result["message"]) == ("pass", "the server came up to where it listens")
    assert "def main() -> None:" in told.facts["script"]
