"""What took the place of names that were taken out."""

from __future__ import annotations

import pytest

from harness.diagnose.successors import successor


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("torch._six", "math.inf"),
        ("torch._six.inf", "math.inf"),
        ("transformers.models.auto.AutoModelForVision2Seq", "AutoModelForImageTextToText"),
        ("transformers.cache_utils.DynamicCache.seen_tokens", "get_seq_length"),
        ("trl.SFTTrainer(tokenizer)", "processing_class"),
        ("trl.trainer.sft_trainer.SFTTrainer(tokenizer)", "processing_class"),
        ("transformers.deepspeed.HfDeepSpeedConfig", "transformers.integrations.deepspeed"),
        ("other.AutoModelForVision2Seq", ""),
        ("trl.SFTTrainer(packer)", ""),
    ],
)
def test_a_name_is_known_by_its_package_and_its_end(name: str, text: str) -> None:
    assert text in successor(name)
    assert bool(successor(name)) is bool(text)
