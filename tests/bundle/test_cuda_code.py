"""Libraries without the machine code of other cards."""

from __future__ import annotations

import struct
import zipfile
from typing import TYPE_CHECKING

import pytest

from harness.bundle.cuda_code import blank_other_cards
from harness.bundle.pack import rewrite
from tests.miniatures import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

CODE, TEXT = 2, 1


def container(*entries: tuple[int, int, bytes]) -> bytes:
    """As CUDA's compiler writes it: kind, architecture and code of each entry."""
    body = b""
    for kind, architecture, code in entries:
        header = struct.pack("<HHIQ", kind, 0x101, 64, len(code)).ljust(28, b"\0") + struct.pack("<I", architecture)
        body += header.ljust(64, b"\0") + code
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def blanked(library: bytes, capability: int = 90) -> tuple[bytes, int]:
    found = bytearray(library)
    count = blank_other_cards(found, capability)
    return bytes(found), count


def test_only_the_code_of_other_cards_is_overwritten_and_nothing_moves() -> None:
    library = (
        b"ELF" + container((CODE, 80, b"a" * 40), (CODE, 90, b"b" * 24)) + b"between" + container((CODE, 70, b"c" * 8))
    )
    found, count = blanked(library)
    assert found == library.replace(b"a" * 40, bytes(40)).replace(b"c" * 8, bytes(8))
    assert count == 48


def test_a_container_with_text_that_the_driver_compiles_stays_whole() -> None:
    library = container((CODE, 80, b"a" * 40), (TEXT, 80, b"ptx" * 8))
    assert blanked(library) == (library, 0)


@pytest.mark.parametrize("cut", [1, 15, 17, 40, 63, 90])
def test_what_is_cut_off_or_only_looks_like_a_container_stays_as_it_is(cut: int) -> None:
    library = container((CODE, 80, b"a" * 40))[:cut]
    assert blanked(library) == (library, 0)
    looks_like = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 2**60) + b"x" * 100
    assert blanked(looks_like) == (looks_like, 0)


def test_a_rewritten_wheel_tells_the_hash_of_what_is_in_it(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "mini", "1.0", {"mini/lib/big.so.12": "", "mini/__init__.py": ""})
    library = container((CODE, 80, b"a" * 4000), (CODE, 90, b"b" * 24))
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(tmp_path / "real.whl", "w") as real:
        for name in source.namelist():
            real.writestr(name, library if name.endswith(".so.12") else source.read(name))
    made = tmp_path / "made.whl"
    with made.open("wb") as target:
        rewrite(tmp_path / "real.whl", target, card=90)
    with zipfile.ZipFile(made) as archive:
        assert archive.read("mini/lib/big.so.12") == blanked(library)[0]
        record = archive.read("mini-1.0.dist-info/RECORD").decode()
    before = source_record(wheel)
    assert [line for line in record.splitlines() if "__init__" in line] == [
        line for line in before if "__init__" in line
    ]
    assert [line for line in record.splitlines() if "big.so" in line] != [line for line in before if "big.so" in line]


def source_record(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read("mini-1.0.dist-info/RECORD").decode().splitlines()
