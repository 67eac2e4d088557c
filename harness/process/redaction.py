"""Keeping credentials out: what children may see of the environment, and what may be written down of text.

Children get an environment built from an allow-list, so a token cannot leak by being forgotten on a deny-list. Text
that is kept (logs, messages, argv, records) passes :func:`redact`, which knows the shapes of common credentials and
the values of whatever looks like a secret in this process's own environment.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from typing import TypeVar, cast

MASK = "[redacted]"

PASSED_ON = frozenset({"PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "USER", "LOGNAME", "SHELL"})
"""What every program may know that the harness starts."""
_PASSED_ON_FOR_GPU = frozenset(
    {"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LD_LIBRARY_PATH", "CUDA_HOME"}
)
_PASSED_ON_FOR_CARDS = ("NCCL_", "NVSHMEM_", "TORCH_SYMM_MEM_")
"""Beginnings of the variables with which a host says how its cards may talk to each other."""
_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|(?:^|_)AUTH", re.IGNORECASE
)
_SECRET_SHAPES = re.compile(
    r"""
      (?P<url>(?<=://)[^\s/'"<>]{1,256}(?=@))                                    # user:password@ in a URL
    | hf_[A-Za-z0-9]{16,} | api_org_[A-Za-z0-9]{16,}                             # hub
    | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,} | glpat-[\w-]{16,}
    | pypi-[A-Za-z0-9_-]{32,} | npm_[A-Za-z0-9]{30,} | nvapi-[\w-]{20,} | dckr_pat_[\w-]{20,}
    | (?:AKIA|ASIA)[A-Z0-9]{16}                                                  # cloud access keys
    | AIza[\w-]{35} | ya29\.[\w-]{20,}
    | sk-[A-Za-z0-9_-]{20,} | [sr]k_(?:live|test)_[A-Za-z0-9]{16,} | xox[abprs]-[A-Za-z0-9-]{10,}
    | eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,}                                       # JSON web token
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[\s\S]{1,8192}?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?<=\bBearer\ )[\w.~+/=-]{8,}
    | (?<=\bAuthorization:\ token\ )[\w.~+/=-]{8,}
    | (?P<netrc>(?P<login>\blogin\s\S{1,128}\spassword\s)\S{1,256})
    | (?<=--token[ =])[^\s"']{6,512} | (?<=--password[ =])[^\s"']{6,512} | (?<=--api-key[ =])[^\s"']{6,512}
    | (?<=\bBasic\ )[A-Za-z0-9+/=]{12,}
    | (?P<pair>(?P<name>\b[\w-]{0,40}
        (?:token|secret|passwd|password|api[_-]?key|account_?key|access_?key(?:_id)?|private_?key|sig|signature)
        ["']?\s{0,3}[=:]\s{0,3}["']?)(?P<value>[^\s"'&,;<>]{6,512}))
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MIN_SECRET = 8

T = TypeVar("T")


def child_environment(
    *, home: str, scratch: str, extra: Mapping[str, str] | None = None, gpu: bool = True
) -> dict[str, str]:
    """Everything a child is allowed to know.

    Args:
        home: folder the child takes for its home, so that it reads no configuration or token of the user's.
        scratch: folder for its temporary files and caches.
        extra: what this stage needs beyond that.
        gpu: whether the variables that choose a GPU are passed on.
    """
    names = PASSED_ON | _PASSED_ON_FOR_GPU if gpu else PASSED_ON
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in names or (gpu and name.startswith(_PASSED_ON_FOR_CARDS) and not _SECRET_NAME.search(name))
    }
    environment |= {
        "HOME": home,
        "TMPDIR": scratch,
        "XDG_CACHE_HOME": f"{home}/.cache",
        "HF_HOME": f"{home}/.cache/huggingface",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "PYTHONUTF8": "1",
        "PYTHONFAULTHANDLER": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "NO_COLOR": "1",
    }
    return environment | dict(extra or {})


@functools.cache
def _known_values() -> re.Pattern[str] | None:
    values = {
        value.strip()
        for name, value in os.environ.items()
        if _SECRET_NAME.search(name) and len(value.strip()) >= _MIN_SECRET
    }
    return re.compile("|".join(re.escape(value) for value in sorted(values, key=len, reverse=True))) if values else None


def redact(text: str) -> str:
    """``text`` with every credential replaced by a mask; the words around it stay readable."""
    known = _known_values()
    if known is not None:
        text = known.sub(MASK, text)
    return _SECRET_SHAPES.sub(lambda match: f"{match['name'] or match['login'] or ''}{MASK}", text)


def redact_tree(value: T) -> T:
    """``value``, a tree of JSON, with every string in it redacted (keys too)."""
    return cast("T", _redact(value))


def _redact(value: object) -> object:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(str(key)): _redact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redact(item) for item in value]
    return value
