"""Taking out of a library the machine code for other cards than the host's: it stays as long, and compresses to little.

CUDA's compiler keeps one container for each source file (``fatbinary.h``): a header, then for each architecture a
header of its own and its code. The driver takes the entry that fits the card and never reads the others.
"""

from __future__ import annotations

import re
import struct

_MAGIC = struct.pack("<IHH", 0xBA55ED50, 1, 16)
_CONTAINER = struct.Struct("<IHHQ")
"""Magic, version, length of this header, length of what follows."""
_ENTRY = struct.Struct("<HHIQ")
"""Kind, version, length of this header, length of the code."""
_ARCHITECTURE = struct.Struct("<I")
_ARCHITECTURE_AT = 28
"""Where an entry's header says for which architecture it is, for example 90."""
_MACHINE_CODE = 2
"""The kind of an entry with machine code; others hold text that the driver compiles."""
LIBRARY = re.compile(r"\.so(\.\d+)*$")


def blank_other_cards(library: bytearray, capability: int) -> int:
    """Overwrite the machine code that a card of that capability (90 for 9.0) cannot run, and return how many bytes.

    A container with text, or that is not understood, stays as it is.
    """
    blanked, place = 0, 0
    while (place := library.find(_MAGIC, place)) >= 0:
        found = _entries(library, place)
        if found is None or any(kind != _MACHINE_CODE for kind, _, _, _ in found):
            place += len(_MAGIC)
            continue
        for _, architecture, begin, end in found:
            if architecture != capability:
                library[begin:end] = bytes(end - begin)
                blanked += end - begin
        place = max([place + len(_MAGIC), *(end for _, _, _, end in found)])
    return blanked


def _entries(library: bytearray, place: int) -> list[tuple[int, int, int, int]] | None:
    """Kind, architecture, begin and end of each entry of a container; None where it is none."""
    if place + _CONTAINER.size > len(library):
        return None
    _, _, length, size = _CONTAINER.unpack_from(library, place)
    begin, end = place + length, place + length + size
    found: list[tuple[int, int, int, int]] = []
    while begin < end <= len(library) and begin + _ARCHITECTURE_AT + _ARCHITECTURE.size <= end:
        kind, _, header, code = _ENTRY.unpack_from(library, begin)
        if header < _ARCHITECTURE_AT + _ARCHITECTURE.size or begin + header + code > end:
            return None
        (architecture,) = _ARCHITECTURE.unpack_from(library, begin + _ARCHITECTURE_AT)
        found.append((kind, architecture, begin + header, begin + header + code))
        begin += header + code
    return found if begin == end else None
