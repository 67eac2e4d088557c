"""The random checkpoint: the same tensors as a real one of its configuration."""

from __future__ import annotations

import importlib.util
import json
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import ROOT

if TYPE_CHECKING:
    from pathlib import Path

MODELS = ROOT / "models"
pytest.importorskip("ml_dtypes")
pytest.importorskip("safetensors")


def header(file: Path) -> dict[str, dict[str, object]]:
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        content: dict[str, dict[str, object]] = json.loads(stream.read(length))
    content.pop("__metadata__", None)
    return content


def test_a_random_canary_has_the_trained_ones_tensors(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, str(MODELS / "make_random.py"), "--out", str(out)]
    command += ["--config", str(MODELS / "canary"), "--tokenizer", str(MODELS / "canary")]
    subprocess.run(command, check=True, capture_output=True)
    trained = header(MODELS / "canary" / "model.safetensors")
    (shard,) = out.glob("*.safetensors")
    made = header(shard)
    assert {name: each["shape"] for name, each in made.items()} == {n: each["shape"] for n, each in trained.items()}
    assert {each["dtype"] for each in made.values()} == {"BF16"}
    assert json.loads((out / "harness-made.json").read_text())["seed"] == 0


def test_the_real_architecture_has_its_published_size() -> None:
    spec = importlib.util.spec_from_file_location("make_random", MODELS / "make_random.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    config = json.loads((MODELS / "qwen2-vl-2b" / "config.json").read_text())
    total = 0
    for _, shape in script.tensors(config):
        count = 1
        for side in shape:
            count *= side
        total += count
    assert total == 2_208_985_600  # the hub's count for Qwen2-VL-2B-Instruct
