"""Miniatures: tiny wheels named like the real packages, one behaviour each, served from a local folder.

They drive the whole real pipeline (resolver, environments, children, verdicts, report) in seconds, without network
or GPU. They test the harness; nothing they do is a statement about the real packages.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from dataclasses import dataclass
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Harness = Callable[..., subprocess.CompletedProcess[str]]
    """What the fixture ``run_harness`` gives: project and arguments in, the finished process out."""

COLOURS = ("red", "blue", "green", "yellow")
SENTENCE = "top left red, top right blue, bottom left green, bottom right yellow"
FACTS = '{"top_left": "red", "top_right": "blue", "bottom_left": "green", "bottom_right": "yellow"}'
PLANTED_TOKEN = "hf_" + "PlantedForTheTest1234567890"

TORCH = {
    "torch/__init__.py": """
        import contextlib
        inference_mode = contextlib.nullcontext
        no_grad = contextlib.nullcontext
        float32, bfloat16, float16 = "torch.float32", "torch.bfloat16", "torch.float16"
        _threads = 1
        def set_num_threads(count):
            global _threads
            _threads = count
        def get_num_threads():
            return _threads
        class _No:
            def any(self):
                return False
        def isnan(_scores):
            return _No()
        class cuda:
            is_available = staticmethod(lambda: False)
    """,
}
PILLOW = {
    "PIL/__init__.py": "",
    "PIL/Image.py": """
        class Image:
            def __init__(self, mode, size, colour=None):
                self.mode, self.size, self.pasted = mode, size, []
            def paste(self, colour, box=None):
                self.pasted.append((colour, box))
            def putpixel(self, *_):
                pass
        def new(mode, size, colour=None):
            return Image(mode, size, colour)
    """,
    "PIL/ImageDraw.py": """
        class Draw:
            def __init__(self, image):
                self.image = image
            def rectangle(self, box, fill=None):
                self.image.pasted.append((fill, box))
    """,
}


def transformers_files(see: str = SENTENCE, structure: str = FACTS, *, images_kwargs: bool = True) -> dict[str, str]:
    """A transformers whose one model answers as told, whatever it is shown."""
    return {
        "transformers/__init__.py": f"""
            SEE, STRUCTURE = {see!r}, {structure!r}
            class Tokens:
                def __init__(self, text):
                    self.text = text
                    self.shape = (1, 5)
                def __getitem__(self, _key):
                    new = Tokens(self.text)
                    new.shape = (len(self.text.split()),)
                    return new
            class Output:
                def __init__(self, text):
                    self.sequences, self.scores = Tokens(text), [0]
            class Qwen2VLForConditionalGeneration:
                device, dtype = "cpu", "torch.float32"
                @classmethod
                def from_pretrained(cls, folder, **_):
                    return cls()
                def eval(self):
                    return self
                def to(self, dtype):
                    self.dtype = dtype
                    return self
                def parameters(self):
                    return []
                def generate(self, input_ids, streamer=None, pixels=None, **_):
                    for _ in range(2):
                        streamer.put(None)
                    return Output(SEE if pixels is not None else STRUCTURE)
            class Tokenizer:
                def decode(self, tokens, **_):
                    return tokens.text
            class Processor:
                chat_template, tokenizer = "yes", Tokenizer()
                def apply_chat_template(self, messages, **_):
                    return str(messages)
                def __call__(self, text, images=None, **_):
                    inputs = {{"input_ids": Tokens("prompt")}}
                    if images:
                        inputs["pixels"] = images
                    return inputs
            class AutoProcessor:
                @classmethod
                def from_pretrained(cls, folder, **_):
                    return Processor()
        """,
        "transformers/models/__init__.py": "",
        "transformers/models/auto/__init__.py": "",
        "transformers/models/auto/configuration_auto.py": "CONFIG_MAPPING_NAMES = {}",
        "transformers/models/auto/processing_auto.py": "PROCESSOR_MAPPING_NAMES = {}",
        "transformers/processing_utils.py": "class ImagesKwargs: pass" if images_kwargs else "",
    }


def lmdeploy_files(builder: str) -> dict[str, str]:
    """An lmdeploy whose vision builder does what is told when it is imported."""
    return {
        "lmdeploy/__init__.py": "",
        "lmdeploy/archs.py": "",
        "lmdeploy/cli/__init__.py": "",
        "lmdeploy/vl/__init__.py": "",
        "lmdeploy/vl/model/__init__.py": "",
        "lmdeploy/vl/model/base.py": "",
        "lmdeploy/vl/model/builder.py": builder,
    }


GOOD_BUILDER = "from transformers.processing_utils import ImagesKwargs"
BEHAVIOURS: Mapping[str, str] = {
    "1.0": GOOD_BUILDER,
    "2.0": "import time\ntime.sleep(600)",
    "2.1": "import os\nos.abort()",
    "2.2": "import os\nos._exit(0)",
    "2.3": """
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import os, time; os.setsid(); time.sleep(600)"])
        raise RuntimeError("left a child behind")
    """,
    "2.4": f"""
        print("token: {PLANTED_TOKEN}")
        raise RuntimeError("https://user:secretpassword@example.org refused {PLANTED_TOKEN}")
    """,
    "2.5": """
        for _ in range(400):
            print("x" * 65536)
        raise RuntimeError("said a lot")
    """,
    "2.6": "import sys\nsys.exit(1)",
}
"""What the vision builder of each miniature lmdeploy does."""


def make_wheel(folder: Path, name: str, version: str, files: Mapping[str, str], requires: Sequence[str] = ()) -> Path:
    """A pure-Python wheel with those files, valid for any installer."""
    info = f"{name}-{version}.dist-info"
    metadata = "".join(
        [
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            *(f"Requires-Dist: {each}\n" for each in requires),
        ]
    )
    content = {path: dedent(text).strip() + "\n" for path, text in files.items()}
    content[f"{info}/METADATA"] = metadata
    content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: miniature\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = []
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for inner, text in content.items():
            wheel.writestr(inner, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record.append(f"{inner},sha256={digest},{len(text.encode())}")
        wheel.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,"]) + "\n")
    return path


def make_index(folder: Path) -> None:
    """The folder of all miniatures, and a ``uv.toml`` beside it that knows no other place."""
    links = folder / "wheels"
    links.mkdir(parents=True)
    make_wheel(links, "torch", "1.0", TORCH)
    make_wheel(links, "pillow", "1.0", PILLOW)
    make_wheel(links, "transformers", "4.38.2", transformers_files(images_kwargs=False))
    make_wheel(links, "transformers", "4.57.3", transformers_files())
    make_wheel(links, "transformers", "5.0.0", transformers_files(see="! ! ! ! ! ! ! ! ! ! ! !"))
    for version, builder in BEHAVIOURS.items():
        make_wheel(links, "lmdeploy", version, lmdeploy_files(builder), ["torch", "pillow", "transformers"])
    make_wheel(links, "lmdeploy", "3.0", lmdeploy_files(GOOD_BUILDER), ["torch", "pillow", "transformers>=6"])
    (folder / "uv.toml").write_text(f'no-index = true\nfind-links = ["{links}"]\n')


MODEL = f"""\
name: mini
title: A model that is not there
architecture: Qwen2VLForConditionalGeneration
model_type: qwen2_vl
quantisation: none
weights: {{kind: canary, folder: mini}}
licence: Apache-2.0
memory: {{weights_gib: 0.01, gpu_gib: 1}}
smoke:
  image: {{pattern: quadrants, size: 112, colours: [{", ".join(COLOURS)}]}}
  see: {{prompt: "What is it?", max_new_tokens: 32, judge: exact, expected: "{SENTENCE}"}}
  structure:
    prompt: "As JSON: {{answer}}"
    max_new_tokens: 48
    judge: json
    expected: {FACTS}
sources: ["made up for the tests"]
"""

MATRIX = """\
version: 1
axes:
  python: "3.11"
  lmdeploy: ["1.0"]
  transformers: ["4.38.2", "4.57.3", "5.0.0"]
  backend: [transformers, pytorch]
  model: [mini]
include:
  - {python: "3.11", lmdeploy: ["2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "3.0"], transformers: "4.57.3",
     backend: pytorch, model: mini}
exclude:
  - {lmdeploy: "1.0", transformers: "5.0.0", backend: pytorch, reason: left out for the test}
timeouts:
  import: {wall: 60s, idle: 4s}
"""


@dataclass(frozen=True)
class MiniProject:
    """A project of miniatures on disk."""

    root: Path

    @property
    def matrix(self) -> Path:
        """Its matrix."""
        return self.root / "matrix.yaml"


def make_project(root: Path, matrix: str = MATRIX) -> MiniProject:
    """A project whose matrix runs miniatures."""
    checkpoint = root / "models" / "mini"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text('{"architectures": ["Qwen2VLForConditionalGeneration"]}')
    (checkpoint / "model.safetensors").write_bytes(b"nothing")
    (root / "models" / "mini.yaml").write_text(MODEL)
    (root / "matrix.yaml").write_text(matrix)
    return MiniProject(root)
