"""Builds the canary's tokenizer: byte-level BPE in the files of a published Qwen2-VL checkpoint."""

# torch and its like live where training runs, not where types are checked:
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from canary_recipe import (
    CHAT_TEMPLATE,
    SEE_PROMPT,
    SPECIAL_TOKENS,
    STRUCTURE_PROMPT,
    SYSTEM_PROMPT,
    VARIANTS,
    smoke_image,
)
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

if TYPE_CHECKING:
    from pathlib import Path

MERGES = 108
"""Learned merges: 256 bytes + 108 merges + 14 special tokens = 378 tokens."""
MODEL_MAX_LENGTH = 4096
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's split into words; transformers' own Qwen2 tokenizers have it built in."""


def _corpus() -> list[str]:
    """The words the canary meets, each often enough to become one token."""
    names = list(smoke_image.PALETTE)
    turned = [names[shift:] + names[:shift] for shift in range(len(names))]
    answers = [variant.answer(order[:4]) for order in turned for variant in VARIANTS if variant.image]
    objects = [variant.answer(order[:4]) for order in turned for variant in VARIANTS if not variant.image]
    return [*(answers + objects) * 4, *["system\nuser\nassistant\n", SYSTEM_PROMPT, SEE_PROMPT, STRUCTURE_PROMPT] * 8]


def build() -> Tokenizer:
    """Train the tokenizer (deterministic: same corpus, same merges)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + MERGES, initial_alphabet=alphabet, special_tokens=[], show_progress=False
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    return tokenizer


def special_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """Ids of the special tokens by their text."""
    return {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}


def write(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, vocab.json, merges.txt, tokenizer_config.json and chat_template.json.

    Merges are stored as "a b" strings: tokenizers before 0.20 cannot read the pairs that newer ones write.
    """
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in content["model"]["merges"]]
    content["model"]["merges"] = merges
    _write_json(folder / "tokenizer.json", content)
    _write_json(folder / "vocab.json", content["model"]["vocab"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(special_ids(tokenizer)))
    # transformers up to 4.56 reads the processor's template from here, engines the tokenizer's from its own file
    _write_json(folder / "chat_template.json", {"chat_template": CHAT_TEMPLATE})


def _tokenizer_config(ids: dict[str, int]) -> dict[str, Any]:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(number): {"content": token, **flags} for token, number in ids.items()},
        "additional_special_tokens": list(SPECIAL_TOKENS[1:]),
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": MODEL_MAX_LENGTH,
        "pad_token": "<|endoftext|>",
        "padding_side": "left",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
