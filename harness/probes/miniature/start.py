"""Make miniatures, or measure their controls: ``<python with torch and transformers> -I start.py REQUEST.json ...``.

Runs in an environment made for it, not in a tested one: standard library, torch and transformers. What became of each
request is an event; the first request that cannot be read ends the process.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List

PACKAGE = "harness_miniature"
"""The name under which the files beside this one are loaded, so that their folder stays off the search path."""


def main(arguments: List[str]) -> int:
    """Answer every request; the exit status is 0 whatever the answers are."""
    package = ModuleType(PACKAGE)
    package.__path__ = [str(Path(__file__).resolve().parent)]
    sys.modules[PACKAGE] = package
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for path in arguments:
        request: Dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        told(request, {"event": "begin"})
        told(request, {"event": "answer", **answer(request)})
    return 0


def answer(request: Dict[str, Any]) -> Dict[str, Any]:
    """Do what the request asks for: nothing to say where that went well, else a ``message``.

    ``unknown``: another transformers may know more.
    """
    checkpoint = importlib.import_module(f"{PACKAGE}.checkpoint")
    try:
        {"make": checkpoint.make, "control": checkpoint.control}[request["task"]](request)
    except checkpoint.Unknown as error:
        return {"message": str(error), "unknown": True}
    except checkpoint.TooLarge as error:
        return {"message": str(error)}
    except Exception as error:  # whatever transformers raises over a configuration says why there is no miniature
        traceback.print_exc()
        return {"message": f"{type(error).__name__}: {error}"[:1000]}
    return {}


def told(request: Dict[str, Any], event: Dict[str, Any]) -> None:
    """Append an event."""
    with open(request["events"], "a", encoding="utf-8") as file:
        file.write(json.dumps({**event, "number": request["number"]}) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
