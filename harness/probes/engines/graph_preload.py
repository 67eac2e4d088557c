"""Imported by a batch before it forks: what every module graph of the pytorch engine needs, loaded once.

Importing it puts the stand-ins for a GPU in place, so nothing else may be asked in that batch. With a driver nothing is
loaded: what opened it cannot be forked.
"""

from __future__ import annotations

import importlib

from . import gpu_stand_ins
from .imports import exists

MODULES = (
    "torch",
    "transformers",
    "lmdeploy.archs",
    "lmdeploy.pytorch.config",
    "lmdeploy.pytorch.models.patch",
    "lmdeploy.pytorch.nn",
    "lmdeploy.pytorch.backends.cuda",
    "lmdeploy.pytorch.kernels.cuda",
)
"""Those that this version has."""

if gpu_stand_ins.install(triton=True)["used"]:
    for name in MODULES:
        if exists(name):
            importlib.import_module(name)
