"""The pytorch engine's own ways."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

from harness.probes.engines import pytorch


def test_the_builder_gets_what_its_version_takes() -> None:
    configuration = SimpleNamespace(quant_config="q", tie_word_embeddings=True)

    @dataclass
    class Context:
        quant_config: str
        fp32_lm_head: bool = False

    with_context = SimpleNamespace(BuildModelContext=Context, build_patched_model=lambda config, build_model_ctx: None)  # noqa: ARG005
    without = SimpleNamespace(build_patched_model=lambda config: None)  # noqa: ARG005 - only its parameters are read
    assert pytorch.build_keywords(with_context, configuration) == {"build_model_ctx": Context("q")}
    assert pytorch.build_keywords(without, configuration) == {}
