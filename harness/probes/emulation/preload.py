"""Imported by a batch before it forks: what every emulation of an environment needs, loaded once.

Importing it chooses Triton's interpreter and puts the stand-ins in place, so nothing else may be asked in that batch.
"""

from __future__ import annotations

import importlib

from ..engines.imports import exists
from . import kernels, stand_ins

MODULES = (
    "torch",
    "transformers",
    "lmdeploy.archs",
    "lmdeploy.vl.model.builder",
    "lmdeploy.vl.engine",
    "lmdeploy.serve.processors",
    "lmdeploy.serve.async_engine",
    "lmdeploy.serve.vl_async_engine",
    "lmdeploy.pytorch.engine.model_agent",
    "lmdeploy.pytorch.models.patch",
    "lmdeploy.pytorch.backends.cuda",
    "lmdeploy.pytorch.kernels.cuda",
    "lmdeploy.pytorch.weight_loader.model_weight_loader",
)
"""Those that this version has."""

stand_ins.prepare()
stand_ins.install()
for name in MODULES:
    if exists(name):
        importlib.import_module(name)
kernels.prepare()
