"""What to start an engine with, as text to copy: the launch script, the server's command, and a few lines of Python.

The script is what the troubleshooting log arrived at for its second entry, generated: lmdeploy's API server, started
from Python with an explicit engine configuration. ``serve`` has been at this place in every version of lmdeploy looked
at (0.6.5 to 0.18.0), whatever else moved.
"""

from __future__ import annotations

import shlex
from types import MappingProxyType
from typing import TYPE_CHECKING

from harness.probes.engines.settings import flags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.engines.engine import Configuration

PORT = 23333
"""lmdeploy's own default."""


def launch_script(
    configuration: Configuration, model: str, settings: Mapping[str, object] = MappingProxyType({})
) -> str:
    """A script that serves.

    Args:
        configuration: of the engine.
        model: folder or hub id of the model.
        settings: fields of the configuration, e.g. ``{"session_len": 8192, "cache_max_entry_count": 0.4}``.
    """
    made = _call(configuration, settings)
    return _serving(configuration, model, f"from lmdeploy import {configuration.name}\n", made)


def script_without_configuration(configuration: Configuration, model: str) -> str:
    """A script that serves and leaves the engine's configuration out, which some versions do not survive."""
    return _serving(configuration, model, "", "None")


def command_script(
    configuration: Configuration, model: str, settings: Mapping[str, object] = MappingProxyType({})
) -> str:
    """A script that does what lmdeploy's command line does; arguments as above."""
    arguments = ["lmdeploy", "serve", "api_server", model, "--backend", configuration.backend, *flags(settings)]
    imports = "import sys\n\nfrom lmdeploy.cli.entrypoint import run"
    return _script(configuration, model, imports, f"    sys.argv = {arguments!r}\n    run()")


def server_command(configuration: Configuration, model: str, settings: Mapping[str, object]) -> str:
    """The command line that serves; arguments as for the script."""
    options = shlex.join([model, "--backend", configuration.backend, *flags(settings), "--server-port", str(PORT)])
    return f"lmdeploy serve api_server {options}"


def question_in_python(configuration: Configuration, model: str, settings: Mapping[str, object]) -> str:
    """Lines that ask about an image without a server; arguments as for the script."""
    return f"""from lmdeploy import {configuration.name}, pipeline

if __name__ == "__main__":  # the engine starts processes of its own
    config = {_call(configuration, settings)}
    pipe = pipeline({model!r}, backend_config=config)
    image = {{"type": "image_url", "image_url": {{"url": "photo.jpg"}}}}
    question = {{"type": "text", "text": "What do you see?"}}
    # The image comes before the text; the order changes the answer.
    print(pipe([{{"role": "user", "content": [image, question]}}]).text)
"""


def _call(configuration: Configuration, settings: Mapping[str, object]) -> str:
    return f"{configuration.name}({', '.join(f'{name}={value!r}' for name, value in settings.items())})"


def _serving(configuration: Configuration, model: str, imports: str, made: str) -> str:
    return _script(
        configuration,
        model,
        f"{imports}from lmdeploy.serve.openai.api_server import serve",
        f"""\
    serve(
        {model!r},
        backend={configuration.backend!r},
        backend_config={made},
        server_port={PORT},
    )""",
    )


def _script(configuration: Configuration, model: str, imports: str, body: str) -> str:
    return f'''\
"""Serve {model} with lmdeploy's {configuration.backend} engine (OpenAI-compatible, port {PORT})."""

{imports}


def main() -> None:
    """Serve until stopped."""
{body}


if __name__ == "__main__":  # the engine starts processes that import this file again
    main()
'''
