"""What a wheel lays down when it is installed, to be run by whoever starts an interpreter of the environment next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.ground import REQUIRES, orphans, scratch_left
from tests.chaos.left_behind import FIND_ROOTS
from tests.chaos.processes import MATRIX
from tests.chaos.registry import expect, fault
from tests.miniatures import GOOD_BUILDER, lmdeploy_files, make_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.chaos.ground import Ended, Ground
    from tests.chaos.registry import Setting, Tally

_RUN = "import os; os.system({command!r})"
"""Where this is started in a sandbox, the command cannot write."""
_OTHER_LIBRARY = """
library = "x/lib/python3.11"
os.makedirs(library)
os.makedirs("x/bin")
for name in os.listdir(os.path.dirname(os.__file__)):
    if name not in ("py_compile.py", "site-packages"):
        os.symlink(os.path.join(os.path.dirname(os.__file__), name), os.path.join(library, name))
with open(os.path.join(library, "py_compile.py"), "w") as file:
    file.write({run!r})
leave("uncompiled.txt", lambda path: open(path, "w").write(sources))
"""
"""A library of its own, that a relative home means once it is there."""
EVIL = "lmdeploy"


def _wheel(ground: Ground, builder: str, laid: Mapping[str, str], requires: tuple[str, ...] = ()) -> str:
    """A miniature lmdeploy that lays more than itself into an environment; its version."""
    version = f"6.{len(list((ground.index / 'wheels').glob('lmdeploy-6.*')))}"
    files = lmdeploy_files(builder) | {
        path.format(data=f"lmdeploy-{version}.data/data"): text for path, text in laid.items()
    }
    make_wheel(ground.index / "wheels", "lmdeploy", version, files, [*REQUIRES, *requires])
    return version


def _run(
    ground: Ground, tally: Tally, version: str, *commands: tuple[str, ...], backend: str = "transformers"
) -> tuple[list[str], Ended]:
    """The verdicts of a run of that version, and the end of the last of the commands."""
    project = ground.project(MATRIX.format(version=version, idle=5, wall=30).replace("pytorch", backend))
    for each in (("run",), *commands):
        ended = ground.harness(project, *each)
        tally.tracebacks += ended.traceback
        tally.orphans += orphans() + scratch_left(project)
    verdicts = [each.verdict for each in ground.records(project)]
    ground.clear(project)
    return verdicts, ended


@fault(
    "untrusted",
    "runs-at-install",
    "wheels lay .pth files, a sitecustomize, a pyvenv.cfg, a uv.toml; uv's settings help",
)
def runs_at_install(setting: Setting, tally: Tally) -> None:
    """Nothing of the environment runs outside the sandbox: a file that only a free process can write stays empty."""
    ground = setting.ground
    victim = ground.new_folder("victim")
    run = _RUN.format(command=f"echo ran >> {victim}")
    pth = {"run.pth": run, "sitecustomize.py": run}
    settings = ground.new_folder("uv.toml")
    settings.write_text((ground.index / "uv.toml").read_text() + "compile-bytecode = true\n")
    make_wheel(
        ground.index / "wheels", "refused", "1.0", {"refused.py": "", "refused-1.0.data/scripts/python": "#!/bin/sh\n"}
    )
    plain = _wheel(ground, GOOD_BUILDER, pth)
    again = _wheel(ground, GOOD_BUILDER, {**pth, "{data}/uv.toml": "compile-bytecode = true\n"}, ("refused",))
    library = FIND_ROOTS + _OTHER_LIBRARY.format(run=run) + f"\n{GOOD_BUILDER}"
    home = _wheel(ground, library, {"{data}/pyvenv.cfg": "home = ./x/bin\ninclude-system-site-packages = false\n"})
    verify = ("pin", "verify", f"reports/pins/lmdeploy{plain}-transformers4.57.3-transformers-mini-py3.11")
    for name, version, extra, commands, ends in (
        ("as uv is set", plain, {}, (("pin",), verify), {"pass"}),
        ("UV_COMPILE_BYTECODE", plain, {"UV_COMPILE_BYTECODE": "1"}, (("pin",), verify), {"pass"}),
        ("compile-bytecode in uv.toml", plain, {"UV_CONFIG_FILE": str(settings)}, (("pin",), verify), {"pass"}),
        ("UV_NO_CACHE", plain, {"UV_NO_CACHE": "1"}, (("pin",), verify), {"pass"}),
        ("a second attempt", again, {"UV_NO_CACHE": "1"}, (), {"infra"}),
        ("a home that comes to be", home, {}, (), {"fail"}),
    ):
        with tally.injection(name):
            victim.write_text("")
            ground.extra = extra
            backend = "pytorch" if version == home else "transformers"
            verdicts, ended = _run(ground, tally, version, *commands, backend=backend)
            ground.extra = {}
            tally.escaped += bool(victim.read_text())
            expect(not victim.read_text(), "something of the environment ran outside the sandbox")
            expect(
                {each.partition("/")[0] for each in verdicts} == ends,
                f"the verdicts are {verdicts}: {ended.err[-300:]}",
            )
            expect(
                ended.code == (0 if ends == {"pass"} else 1 if ends == {"fail"} else 4),
                f"it ended with {ended.code}: {ended.out[-300:]}",
            )


@fault(
    "untrusted", "lays-over", "wheels lay their own over what makes an environment, or the harness's own files into it"
)
def lays_over(setting: Setting, tally: Tally) -> None:
    """Found after the installation, whatever it would have done."""
    for name, laid in {
        "pyvenv.cfg": {"{data}/pyvenv.cfg": "home = /usr/bin\n"},
        "a pyvenv.cfg that comes first": {"{data}/bin/pyvenv.cfg": "home = /usr/bin\n"},
        "activation": {"{data}/bin/activate": "echo\n"},
        "a finish marker": {"{data}/harness-finished.json": "{}"},
        "a lent library": {"{data}/harness-compiled/evil.so": "x"},
        "a package that is not there": {
            "made_up-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n"
        },
        "another version of a package": {
            "torch-9.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: 9.0\n"
        },
    }.items():
        with tally.injection(name):
            data = {
                path if path.startswith("{") else f"{{data}}/lib/python3.11/site-packages/{path}": text
                for path, text in laid.items()
            }
            verdicts, ended = _run(setting.ground, tally, _wheel(setting.ground, GOOD_BUILDER, data))
            expect(
                len(verdicts) == 1 and verdicts[0].startswith("fail/install/"),
                f"the verdicts are {verdicts}: {ended.err[-300:]}",
            )
            expect(
                "lmdeploy" in verdicts[0] or "lmdeploy" in ended.out,
                f"it does not say whose fault it is: {ended.out[-300:]}",
            )
