"""A small tokenizer in the files of a published one: its kind of words, its class and its special tokens.

Two kinds: byte-level BPE, and sentencepiece's BPE with a byte for each unknown character. Every id has a word, so that
whatever a model of random weights says can be decoded.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from itertools import pairwise
from typing import Any, Dict, List, Tuple

from .rules import VOCABULARY

CORPUS = (
    "Name the colour of each quarter of the image.",
    "Write this as JSON: top left red, top right blue, bottom left green, bottom right yellow",
    "system user assistant model You are a helpful assistant.",
    "The quick brown fox jumps over the lazy dog 0123456789.",
    "Count from one to ten: one two three four five six seven eight nine ten",
)
MERGES = 200
FIRST = 16
"""Special tokens with a published id below this keep it: they stand at the start of the vocabulary."""
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPACE = "\u2581"


class Vocabulary:
    """The words of the small tokenizer, and where the published ids of special tokens went."""

    def __init__(self, spec: Dict[str, Any], named: List[Tuple[str, int]]) -> None:
        """Lay the words out.

        Args:
            spec: the published tokenizer: kind, class, special tokens with their ids.
            named: keys of the configuration that name an id, with it.
        """
        self.spec = spec
        self.special: Dict[str, int] = {str(text): int(number) for text, number in spec["special"].items()}
        known = set(self.special.values())
        for key, number in named:  # ids that the family's published tokenizer is not known to have
            if number not in known:
                self.special[f"<|{key.rsplit('_token', 1)[0]}_{number}|>"] = number
                known.add(number)
        self.pieces = spec["kind"] == "pieces"
        self.words, self.merges = self._laid_out()
        self.moved = {number: self.words[text] for text, number in self.special.items()}

    def new_id(self, published: int, size: int) -> int:
        """Where a published id went; one behind the vocabulary stays as far behind it."""
        if published >= size:
            return VOCABULARY + published - size
        return self.moved[published]

    def _laid_out(self) -> Tuple[Dict[str, int], List[Tuple[str, str]]]:
        first = sorted((number, text) for text, number in self.special.items() if number < FIRST)
        last = sorted((number, text) for text, number in self.special.items() if number >= FIRST)
        alphabet = [f"<0x{byte:02X}>" for byte in range(256)] if self.pieces else sorted(_byte_letters().values())
        learned, merges = _learned(self.pieces)
        words: Dict[str, int] = {}
        for text in [text for _, text in first] + alphabet + learned + [text for _, text in last]:
            words.setdefault(text, len(words))
        for number in range(len(words), VOCABULARY):
            words[f"{SPACE if self.pieces else _byte_letters()[32]}~{number}"] = number
        return words, merges

    def write(self, folder: str) -> None:
        """Write tokenizer.json, tokenizer_config.json, special_tokens_map.json, and what slow classes read."""
        _write(folder, "tokenizer.json", self.tokenizer())
        _write(folder, "tokenizer_config.json", self.configuration())
        roles = {role: self.spec[role] for role in ("bos", "eos", "pad", "unk") if self.spec.get(role)}
        _write(folder, "special_tokens_map.json", {f"{role}_token": text for role, text in roles.items()})
        if not self.pieces:
            _write(folder, "vocab.json", self.words)
            lines = [" ".join(pair) for pair in self.merges]
            with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as file:
                file.write("#version: 0.2\n" + "\n".join(lines) + "\n")

    def tokenizer(self) -> Dict[str, Any]:
        """tokenizer.json; merges as "a b", which every version of tokenizers reads."""
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        added = [
            {"id": self.words[text], "content": text, **flags}
            for text in sorted(self.special, key=lambda text: self.words[text])
        ]
        model = {
            "type": "BPE",
            "dropout": None,
            "unk_token": self.spec.get("unk") if self.pieces else None,
            "continuing_subword_prefix": None if self.pieces else "",
            "end_of_word_suffix": None if self.pieces else "",
            "fuse_unk": self.pieces,
            "byte_fallback": self.pieces,
            "ignore_merges": False,
            "vocab": self.words,
            "merges": [" ".join(pair) for pair in self.merges],
        }
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            **(self._pieces_steps() if self.pieces else self._bytes_steps()),
            "model": model,
        }

    def _bytes_steps(self) -> Dict[str, Any]:
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
        split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False}
        return {
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
            "post_processor": self._with_bos() or level,
            "decoder": {**level, "use_regex": True},
        }

    def _pieces_steps(self) -> Dict[str, Any]:
        replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
        prefix = bool(self.spec.get("prefix_space", True))
        back = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
        steps = [back, {"type": "ByteFallback"}, {"type": "Fuse"}]
        if prefix:
            steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
        normalizer = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, replace]}
        return {
            "normalizer": normalizer if prefix else replace,
            "pre_tokenizer": None,
            "post_processor": self._with_bos(),
            "decoder": {"type": "Sequence", "decoders": steps},
        }

    def _with_bos(self) -> Any:
        bos = self.spec.get("bos")
        if not bos or not self.spec.get("add_bos"):
            return None
        one = [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        pair = [*one, {"SpecialToken": {"id": bos, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
        known = {bos: {"id": bos, "ids": [self.words[bos]], "tokens": [bos]}}
        return {"type": "TemplateProcessing", "single": one, "pair": pair, "special_tokens": known}

    def configuration(self) -> Dict[str, Any]:
        """tokenizer_config.json."""
        flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
        ordered = sorted(self.special, key=lambda text: self.words[text])
        roles = {f"{role}_token": self.spec.get(role) for role in ("bos", "eos", "pad", "unk")}
        others = [text for text in ordered if text not in roles.values()]
        return {
            "added_tokens_decoder": {str(self.words[text]): {"content": text, **flags} for text in ordered},
            "additional_special_tokens": others,
            **roles,
            "chat_template": self.spec["template"],
            "clean_up_tokenization_spaces": False,
            "model_max_length": 32768,
            "tokenizer_class": self.spec["class"],
            **self.spec.get("more", {}),
        }


@lru_cache(maxsize=None)
def _learned(pieces: bool) -> Tuple[List[str], List[Tuple[str, str]]]:
    """Words learned from the corpus by joining the commonest pair again and again; ties by their letters."""
    letters = _byte_letters()
    texts: List[List[str]] = []
    for line in CORPUS:
        for word in line.split(" "):
            marked = f"{SPACE}{word}" if pieces else "".join(letters[byte] for byte in f" {word}".encode())
            texts.append(list(marked))
    words = sorted({letter for text in texts for letter in text}) if pieces else []
    merges: List[Tuple[str, str]] = []
    for _ in range(MERGES):
        counts: Dict[Tuple[str, str], int] = {}
        for text in texts:
            for pair in pairwise(text):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        words.append("".join(best))
        texts = [_joined(text, best) for text in texts]
    return words, merges


def _joined(text: List[str], pair: Tuple[str, str]) -> List[str]:
    result: List[str] = []
    place = 0
    while place < len(text):
        if place + 1 < len(text) and (text[place], text[place + 1]) == pair:
            result.append("".join(pair))
            place += 2
        else:
            result.append(text[place])
            place += 1
    return result


@lru_cache(maxsize=None)
def _byte_letters() -> Dict[int, str]:
    """The letter that byte-level BPE writes for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    others = [byte for byte in range(256) if byte not in letters]
    return {**letters, **{byte: chr(256 + place) for place, byte in enumerate(others)}}


def _write(folder: str, name: str, content: Any) -> None:
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.write("\n")
