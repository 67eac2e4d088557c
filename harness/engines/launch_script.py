"""The launch script: lmdeploy's API server, started from Python with an explicit engine configuration.

It is what the troubleshooting log arrived at for its second entry, generated. ``serve`` has been at this place in
every version of lmdeploy looked at (0.6.5 to 0.18.0), whatever else moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIGURATIONS = {"pytorch": "PytorchEngineConfig", "turbomind": "TurbomindEngineConfig"}
PORT = 23333
"""lmdeploy's own default."""


def launch_script(model: str, backend: str, settings: Mapping[str, object] | None = None, port: int = PORT) -> str:
    """The script's text.

    Args:
        model: folder or hub id of the model.
        backend: ``pytorch`` or ``turbomind``.
        settings: fields of the engine's configuration, e.g. ``{"session_len": 8192, "cache_max_entry_count": 0.4}``.
        port: where the server listens.

    Raises:
        KeyError: the backend has no engine configuration.
    """
    configuration = CONFIGURATIONS[backend]
    fields = ", ".join(f"{name}={value!r}" for name, value in (settings or {}).items())
    return f'''\
"""Serve {model} with lmdeploy's {backend} engine (OpenAI-compatible, port {port})."""

from lmdeploy import {configuration}
from lmdeploy.serve.openai.api_server import serve


def main() -> None:
    """Serve until stopped."""
    serve(
        {model!r},
        backend={backend!r},
        backend_config={configuration}({fields}),
        server_port={port},
    )


if __name__ == "__main__":  # the engine starts processes that import this file again
    main()
'''
