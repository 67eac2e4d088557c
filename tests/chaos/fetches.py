"""What the harness itself fetches: release lists, stretches of wheels for the scan, wheels for a bundle."""

from __future__ import annotations

import hashlib
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from harness.bundle.carry import WheelStore, WheelUnavailable
from harness.environments.lock import LockedWheel
from harness.index.download import Downloads, IndexUnavailable
from harness.index.package_index import PackageIndex
from tests.chaos.network import PACKAGE, index
from tests.chaos.registry import expect, fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.network import Misbehaving
    from tests.chaos.registry import Setting, Tally

logging.getLogger("stamina").addHandler(logging.NullHandler())  # as the command line does
WHEEL = f"{PACKAGE}-4.57.3-py3-none-any.whl"
FOR_EVER = ("429", "500", "503", "401", "403", "404", "hangs up")
PASSING = ("passing 429", "passing 500", "passing hangs up")


def _bundle(setting: Setting, server: Misbehaving) -> object:
    wheel = server.wheels / WHEEL
    digest = "0" * 64 if server.mode == "wrong hash" else hashlib.sha256(wheel.read_bytes()).hexdigest()
    url = f"http://127.0.0.1:{server.server_port}/files/{WHEEL}"
    store = WheelStore(setting.ground.new_folder("wheels"))
    try:
        return store.fetch(LockedWheel(WHEEL, url, digest, None)).read_bytes() == wheel.read_bytes()
    finally:
        left = [each.name for each in store.folder.rglob(".partial*")]
        expect(not left, f"half a wheel was left: {left}")


def _scan(setting: Setting, server: Misbehaving) -> object:
    del setting
    content = (server.wheels / WHEEL).read_bytes()
    downloads = Downloads()
    try:
        part = downloads.part(f"http://127.0.0.1:{server.server_port}/files/{WHEEL}", 10, 200)
    finally:
        downloads.close()
    return part == content[10:200]


def _versions(setting: Setting, server: Misbehaving) -> object:
    url = f"http://127.0.0.1:{server.server_port}/simple"
    with PackageIndex(setting.ground.new_folder("index"), timedelta(hours=1), url) as client:
        found = client.versions(PACKAGE)
    return bool(found) or server.mode == "404"  # an index that knows no such package: that is an answer


def _register(name: str, what: str, fetch: Callable[[Setting, Misbehaving], object], more: tuple[str, ...]) -> None:
    @fault("network", name, f"the index, to the harness itself: {what}")
    def scenario(setting: Setting, tally: Tally) -> None:
        for mode in (*FOR_EVER, *more, *PASSING):
            with tally.injection(mode), index(setting, mode) as server:
                passes = mode.startswith("passing") or (mode == "404" and fetch is _versions)
                try:
                    right, said = fetch(setting, server), ""
                except (WheelUnavailable, IndexUnavailable) as error:
                    right, said = False, str(error)
                expect(bool(right) == passes, f"it should {'' if passes else 'not '}have passed: {said}")
                asked = max(server.asked.values())
                again = mode in {"429", "500", "503", "hangs up", "truncated"} or mode.startswith("passing")
                expect((asked > 1) == again, f"asked {asked} times")


_register("own-versions", "release lists", _versions, ())
_register("own-scan", "stretches of a wheel, for the scan", _scan, ("truncated",))
_register("own-wheels", "wheels for a bundle; a wrong hash too", _bundle, ("wrong hash",))
