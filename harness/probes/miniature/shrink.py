"""A configuration of any architecture with every size shrunk and every other key as published.

A key that no rule names is kept, whatever it means; so is a section that nobody has listed. Where a configuration
leaves a size to its class's default, the default is taken from ``filled`` and the shrunken size is written down.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Tuple

from .rules import BLOCK, KEY_VALUE_HEADS, KEYS, LARGEST_RATIO, LATENT_HEADS, PATCHES, VOCABULARY

Section = Dict[str, Any]
TOWER_STEP = 16
"""Inner sizes of a vision tower are a multiple of this."""
MARKED_IN_TOWER = 5
"""Layers of a tower that a list of layers keeps; language models keep two."""
IS_ID = re.compile(r"(?:^|_)token_(?:id|ids|index)$")
IS_LAYER_LIST = re.compile(r"(?:layers|layers_indices|indexes|indices|layer_ids)$")
IS_TOWER = re.compile(r"vision|visual|vit|audio|speech|time_series", re.IGNORECASE)


@dataclass
class Change:
    """One key that is not as published."""

    key: str
    published: Any
    made: Any
    rule: str


@dataclass
class Shrunk:
    """The configuration and what was done to it."""

    config: Section
    changes: List[Change] = field(default_factory=list)
    images: Dict[int, int] = field(default_factory=dict)
    """Side of an image, published to shrunken."""
    tokens: Dict[int, int] = field(default_factory=dict)
    """Tokens of an image, published to shrunken."""


@dataclass
class _Place:
    """One section on its way: what is written, what its class fills in, and where it stands."""

    written: Section
    filled: Section
    path: str
    tower: bool

    def __post_init__(self) -> None:
        self.published = {**self.filled, **{key: value for key, value in self.written.items() if value is not None}}

    def name(self, role: str) -> Optional[str]:
        """The key that this section uses for a role: one that is written before one that is filled in."""
        for where in (self.written, self.published):
            for key in KEYS[role]:
                if where.get(key) is not None:
                    return key
        return None

    def value(self, role: str) -> Any:
        """The published value for a role."""
        name = self.name(role)
        return None if name is None else self.published[name]

    def number(self, role: str) -> int:
        """The published number for a role, the same one on both axes counted once; 0 where there is none."""
        found = self.value(role)
        if isinstance(found, list) and found and all(each == found[0] for each in found):
            found = found[0]
        return found if isinstance(found, int) and not isinstance(found, bool) else 0


def shrink(config: Section, filled: Section, new_id: Callable[[int, int], int]) -> Shrunk:
    """Shrink a configuration.

    Args:
        config: as published.
        filled: the same with the defaults of its class filled in; the configuration itself where no class is known.
        new_id: the shrunken vocabulary's id for a published one, given the published vocabulary's size.
    """
    return _Shrinking(config, filled, new_id).run()


class _Shrinking:
    def __init__(self, config: Section, filled: Section, new_id: Callable[[int, int], int]) -> None:
        self.result = Shrunk(copy.deepcopy(config))
        self.places = _sections(self.result.config, filled)
        self.new_id = new_id
        self.widths: Dict[bool, Dict[int, int]] = {False: {}, True: {}}
        """Published width to shrunken, of language models and of towers."""
        sizes = [place.published.get(key) for place in self.places for key in KEYS["vocabulary"]]
        self.vocabulary_size = max((size for size in sizes if isinstance(size, int)), default=VOCABULARY)

    def run(self) -> Shrunk:
        fed = max((len(place.value("fed_layers") or []) for place in self.places), default=0)
        for place in self.places:
            for key in KEYS["dropped"]:
                if key in place.written:
                    self.note(place, key, place.written.pop(key), None, "dropped")
            if place.tower:
                self.tower(place)
            else:
                self.language(place, at_least=min(fed, MARKED_IN_TOWER) + 1 if fed else 2)
        for place in self.places:
            self.joints(place)
            self.vocabulary(place)
        return self.result

    def language(self, place: _Place, at_least: int) -> None:
        heads, width = place.number("heads"), place.number("width")
        if not heads or not width:
            return
        latent = place.number("latent") > 0
        queries = self.heads(place, heads, LATENT_HEADS if latent else KEY_VALUE_HEADS)
        size = place.number("head_size") or width // heads
        joined = width == heads * size and not latent
        new_width = queries * size if joined else _free_width(queries * size)
        self.widths[False][width] = new_width
        self.set(place, "width", new_width)
        taken = [new_width]
        for role, step in (("inner", BLOCK), ("shared_inner", BLOCK), ("expert_inner", BLOCK // 2)):
            if place.number(role):
                # one that was as wide as the model stays so: gpt-oss has no other kind of expert
                new = new_width if role == "inner" and place.number(role) == width else _inner(new_width, taken, step)
                taken.append(new)
                self.set(place, role, new)
        if place.number("base_width"):
            self.set(place, "base_width", max(1, round(place.number("base_width") * new_width / width)))
        self.experts(place)
        self.linear_heads(place)
        self.layers(place, at_least)
        if place.number("decoder"):
            self.set(place, "decoder", BLOCK)

    def heads(self, place: _Place, heads: int, most: int) -> int:
        pairs = place.number("key_value_heads")
        if not pairs or heads % pairs:
            pairs = heads
        fewer = min(pairs, most)
        queries = fewer * min(heads // pairs, LARGEST_RATIO)
        groups = place.number("output_groups")
        if groups > 1:
            queries = 2 * (heads // groups)
            self.set(place, "output_groups", 2)
        self.set(place, "heads", queries)
        if place.number("key_value_heads"):
            self.set(place, "key_value_heads", fewer)
        return queries

    def experts(self, place: _Place) -> None:
        count, groups = place.number("experts"), max(1, place.number("groups"))
        if count < 2:  # noqa: PLR2004 - one expert is none
            return
        wanted = max(8, 2 * place.number("chosen"), 4 * groups if groups > 1 else 0)
        if count & (count - 1) == 0:
            wanted = 1 << (wanted - 1).bit_length()
        else:
            step = 2 if groups == 1 else groups
            wanted = -(-wanted // step) * step
            while wanted & (wanted - 1) == 0:
                wanted += step
        self.set(place, "experts", min(count, wanted))

    def linear_heads(self, place: _Place) -> None:
        keys, values = place.number("linear_heads"), place.number("linear_value_heads")
        if keys > KEY_VALUE_HEADS and values % keys == 0:
            self.set(place, "linear_heads", KEY_VALUE_HEADS)
            self.set(place, "linear_value_heads", KEY_VALUE_HEADS * (values // keys))

    def tower(self, place: _Place) -> None:
        heads, width = place.number("heads"), place.number("tower_width")
        if heads and width and width % heads == 0:
            new_heads = min(heads, KEY_VALUE_HEADS)
            new_width = new_heads * (width // heads)
            self.widths[True][width] = new_width
            self.set(place, "heads", new_heads)
            self.set(place, "tower_width", new_width)
            inner = place.number("inner")
            if inner:
                exact = inner % width == 0
                new = inner // width * new_width if exact else _rounded(inner * new_width / width, TOWER_STEP)
                self.set(place, "inner", new)
            if place.number("key_value_heads"):
                self.set(place, "key_value_heads", new_heads)
        if place.number("last_layers"):
            self.set(place, "last_layers", 2)
        self.layers(place, 3)
        size, patch = place.number("image"), place.number("patch")
        if patch and size > PATCHES * patch:
            self.result.images[size] = PATCHES * patch
            new_size = PATCHES * patch
            self.set(place, "image", [new_size] * 2 if isinstance(place.value("image"), list) else new_size)

    def layers(self, place: _Place, at_least: int) -> None:
        total = place.number("layers")
        if not total:
            return
        more = place.number("more_layers")
        lists = {key: value for key, value in place.published.items() if isinstance(value, list) and value}
        every = list(range(total))  # a list of all layers says nothing of their kinds
        per_layer = {
            key: value
            for key, value in lists.items()
            if len(value) in {total, total + more} and total > 1 and value != every
        }
        marked = {
            key: value
            for key, value in lists.items()
            if key not in per_layer and IS_LAYER_LIST.search(key) and _rising_below(value, total)
        }
        dense = place.number("dense_first")
        periods = [place.published.get(key) for key in KEYS["period"]]
        steps = [step for step in periods if isinstance(step, int) and step <= total]
        most = MARKED_IN_TOWER if place.tower else 2
        shorter = {key: list(range(1, min(len(value), most) + 1)) for key, value in marked.items()}
        needed = max(
            at_least,
            3 if dense else 0,
            *(_first_with_all(value[:total]) for value in per_layer.values()),
            *steps,
            *(value[-1] + 2 for value in shorter.values()),
        )
        needed = min(needed, total)
        if dense:
            self.set(place, "dense_first", 1)
        for key, value in per_layer.items():
            if key in place.written:
                self.put(place, key, value[:needed] + value[total:], "layers")
        for key, shortened in shorter.items():
            self.put(place, key, shortened, "layers")
        window = place.number("window_layers")
        if window:
            self.set(place, "window_layers", needed if window >= total else 1)
        self.set(place, "layers", needed)

    def joints(self, place: _Place) -> None:
        """Sizes of one part that are sizes of another, and what follows from the size of an image."""
        own = place.name("tower_width" if place.tower else "width")
        for key in KEYS["joint"]:
            value = place.published.get(key)
            if key != own and isinstance(value, int):
                new = self.widths[False].get(value, self.widths[True].get(value))
                if new is not None:
                    self.put(place, key, new, "joint")
        width = place.number("tower_width") if place.tower else 0
        for key in KEYS["projection"]:
            value = place.published.get(key)
            if isinstance(value, int):
                whole = width and value % width == 0
                self.put(place, key, value // width * self.widths[True][width] if whole else 2 * BLOCK, "projection")
        for old, new in list(self.result.images.items())[:1]:
            for key in KEYS["image_tokens"]:
                value = place.published.get(key)
                if isinstance(value, list):
                    self.put(place, key, [[side * new // old for side in pair] for pair in value], "image_tokens")
                elif isinstance(value, int) and value * new * new % (old * old) == 0:
                    self.result.tokens[value] = value * new * new // (old * old)
                    self.put(place, key, self.result.tokens[value], "image_tokens")

    def vocabulary(self, place: _Place) -> None:
        for key in KEYS["vocabulary"]:
            if isinstance(place.published.get(key), int) and place.published[key] > VOCABULARY:
                self.put(place, key, VOCABULARY, "vocabulary")
        for key, value in place.published.items():
            if not IS_ID.search(key) or (key not in place.written and not _beyond(value)):
                continue
            listed = value if isinstance(value, list) else [value]
            if all(isinstance(number, int) and not isinstance(number, bool) for number in listed):
                moved = [number if number < 0 else self.new_id(number, self.vocabulary_size) for number in listed]
                self.put(place, key, moved if isinstance(value, list) else moved[0], "vocabulary")

    def set(self, place: _Place, role: str, value: Any) -> None:
        """Write a role's value under the section's key for it, and under others that were equal to it.

        Kimi-K2.5's published vision section has names of its own, transformers' class has the usual ones.
        """
        name = place.name(role)
        if name is None:
            return
        before = place.published[name]
        for key in (key for key in KEYS[role] if place.published.get(key) == before):
            self.put(place, key, value, "width" if role == "tower_width" else role)

    def put(self, place: _Place, key: str, value: Any, rule: str) -> None:
        """Write a value that is not as published."""
        if place.published.get(key) != value:
            place.written[key] = value
            self.note(place, key, place.published.get(key), value, rule)

    def note(self, place: _Place, key: str, published: Any, made: Any, rule: str) -> None:
        self.result.changes.append(Change(f"{place.path}{key}", published, made, rule))


def _sections(config: Section, filled: Section, path: str = "", *, tower: bool = False) -> List[_Place]:
    """Every section of a configuration, the outermost first."""
    place = _Place(config, filled, path, tower)
    found = [place]
    flat = place.name("heads") in config
    for key in [*config, *(key for key in filled if key not in config)]:
        value, inside = config.get(key), filled.get(key)
        if key in KEYS["dropped"] or not (key.endswith("_config") and (isinstance(value or inside, dict))):
            continue
        other = tower or bool(IS_TOWER.search(key))
        if value is None:
            if flat and not other:
                continue  # a flat configuration, whose class makes the section from the keys around it
            value = config[key] = {}
        found += _sections(value, inside if isinstance(inside, dict) else value, f"{path}{key}.", tower=other)
    return found


def _free_width(taken: int) -> int:
    """A width that is not the heads': where the published one is not, nothing may depend on it."""
    return 2 * BLOCK if taken != 2 * BLOCK else 3 * BLOCK


def _inner(width: int, taken: List[int], step: int) -> int:
    """The least size above 256 that makes no square matrix and is not taken."""
    size = 2 * BLOCK + step
    while size in taken or width in (size, 2 * size):
        size += step
    return size


def _rounded(value: float, step: int) -> int:
    return max(step, int(value / step + 0.5) * step)


def _first_with_all(values: List[Any]) -> int:
    """How many from the start it takes to have every different value."""
    firsts: Dict[str, int] = {repr(value): place for place, value in reversed(list(enumerate(values)))}
    return max(firsts.values()) + 1


def _rising_below(values: List[Any], limit: int) -> bool:
    numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    return len(numbers) == len(values) and numbers == sorted(set(numbers)) and numbers[0] >= 0 and numbers[-1] < limit


def _beyond(value: Any) -> bool:
    """Whether an id that a class fills in is none of the shrunken vocabulary."""
    return isinstance(value, int) and value >= VOCABULARY


def id_keys(config: Section) -> List[Tuple[str, int]]:
    """Every special id that a configuration names, with the key that names it."""
    found: List[Tuple[str, int]] = []
    for key, value in config.items():
        if isinstance(value, dict):
            found += id_keys(value)
        elif IS_ID.search(str(key)):
            listed = value if isinstance(value, list) else [value]
            found += [(key, number) for number in listed if isinstance(number, int) and number >= 0]
    return found
