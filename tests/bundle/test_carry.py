"""Which wheels a host lacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.bundle.carry import HOST_KEEPS, Luggage, WheelStore, WheelUnavailable, choose, host_packages
from harness.environments.lock import LockedWheel
from tests.bundle.samples import NO_PLACE, PYTHON, lock_of

if TYPE_CHECKING:
    from pathlib import Path


def test_what_the_host_has_stays_at_home(miniature_index: Path, tmp_path: Path) -> None:
    store = WheelStore(tmp_path)
    versions = {"lmdeploy": "1.0", "transformers": "4.57.3", "torch": "1.0", "pillow": "1.0"}
    lock = lock_of(miniature_index / "wheels", store, versions)
    roots = ("lmdeploy==1.0", "transformers==4.57.3")

    stack, _ = choose(lock, roots, PYTHON, Luggage({}, HOST_KEEPS), store)
    assert stack.left_out == ["torch"]  # a GPU host without torch is told by the record, not sent gigabytes
    assert [each.partition("-")[0] for each in stack.wheels] == ["lmdeploy", "pillow", "transformers"]

    host = {"torch": "2.11.0", "transformers": "5.17.0", "pillow": "12.0"}
    stack, _ = choose(lock, roots, PYTHON, Luggage(host), store)
    assert stack.host_has == {"pillow": "12.0", "torch": "2.11.0"}
    assert [each.partition("-")[0] for each in stack.wheels] == ["lmdeploy", "transformers"]  # another was asked for

    stack, _ = choose(lock, roots, PYTHON, Luggage(host, carry=("pillow",), leave_out=("pillow",)), store)
    assert "pillow" not in stack.host_has


def test_a_wheel_whose_hash_is_another_is_thrown_away(tmp_path: Path) -> None:
    with pytest.raises(WheelUnavailable, match=r"mini-1-py3-none-any\.whl could not be downloaded"):
        WheelStore(tmp_path).fetch(LockedWheel("mini-1-py3-none-any.whl", NO_PLACE + "mini", "0" * 64, None))


def test_a_host_listing_is_read_as_pip_writes_it() -> None:
    listing = json.loads('[{"name": "Jinja2", "version": "3.1.6"}, {"name": "torch", "version": "2.11.0+cu130"}]')
    assert host_packages(listing) == {"jinja2": "3.1.6", "torch": "2.11.0"}
