"""Packages and models that are not to be trusted: what their code can see, write and reach."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from harness.environments.install import source_arguments
from harness.process.redaction import child_environment
from tests.chaos.ground import orphans
from tests.chaos.processes import run_one
from tests.chaos.registry import expect, fault

if TYPE_CHECKING:
    from harness.core.records import Record
    from tests.chaos.registry import Setting, Tally

PLANTED = {"HF_TOKEN": "hf_" + "x" * 20, "AWS_SECRET_ACCESS_KEY": "k" * 40, "UV_INDEX_URL": "https://a:b@h/"}


def facts(record: Record, name: str) -> list[object]:
    """What a run's checks noted under that name."""
    return [check.facts[name] for each in record.stages for check in each.checks if name in check.facts]


@fault("untrusted", "writes", "a package writes, deletes, makes folders and links outside its scratch, errors caught")
def writes(setting: Setting, tally: Tally) -> None:
    """Prevented, and told."""
    victim = setting.ground.new_folder("victim")
    victim.mkdir()
    (victim / "precious").write_text("precious")
    attempts = {
        "write": f"open({str(victim / 'new')!r}, 'w')",
        "append": f"open({str(victim / 'precious')!r}, 'a').write('spoilt')",
        "delete": f"__import__('os').remove({str(victim / 'precious')!r})",
        "folder": f"__import__('os').mkdir({str(victim / 'folder')!r})",
        "link": f"__import__('os').symlink('/etc/passwd', {str(victim / 'link')!r})",
        "own stack": "open(__import__('torch').__file__, 'a').write('# spoilt')",
        "what it is asked": "open(__import__('sys').orig_argv[-1], 'a'); raise RuntimeError('it can be changed')",
        "native": f"__import__('ctypes').CDLL(None).mkdir({str(victim / 'native').encode()!r}, 0o777)",
    }
    for name, code in attempts.items():
        with tally.injection(name):
            caught = f"try:\n    {code}\nexcept OSError:\n    pass\nraise RuntimeError('tried')"
            record = run_one(setting.ground, tally, caught)
            changed = sorted(each.name for each in victim.iterdir()) != ["precious"]
            changed |= (victim / "precious").exists() and (victim / "precious").read_text() != "precious"
            told = [check.exception.message for each in record.stages for check in each.checks if check.exception]
            changed |= "it can be changed" in told
            tally.escaped += changed
            expect(not changed, "it changed something outside its scratch")
            expect("namespaces" in facts(record, "sandbox"), f"the sandbox was {facts(record, 'sandbox')}")
            expect(name == "native" or facts(record, "reached_outside"), "the record does not say that it tried")


@fault("untrusted", "connects", "a package connects to a listening server and asks for another host's address")
def connects(setting: Setting, tally: Tally) -> None:
    """No network, and told."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        port = server.getsockname()[1]
        for name, code in {
            "this machine": f"socket.create_connection(('127.0.0.1', {port}), 2)",
            "elsewhere": "socket.create_connection(('192.0.2.1', 80), 2)",
            "name": "socket.getaddrinfo('host.invalid', 80)",
        }.items():
            with tally.injection(name):
                caught = f"import socket\ntry:\n    {code}\nexcept OSError:\n    pass\nraise RuntimeError('tried')"
                record = run_one(setting.ground, tally, caught)
                try:
                    server.accept()[0].close()
                    reached = True
                except TimeoutError:
                    reached = False
                tally.escaped += reached
                expect(not reached, "it reached a server of this machine")
                told = facts(record, "reached_outside")
                expect(name == "this machine" or told, "the record does not say that it tried")


@fault("untrusted", "looks-around", "a package looks for tokens in its environment and home, and for capabilities")
def looks_around(setting: Setting, tally: Tally) -> None:
    """The environment is built from an allow-list."""
    with tally.injection("environment"):
        setting.ground.extra.update(PLANTED)
        try:
            code = """
import os
caps = [line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapEff", "CapBnd"))]
seen = sorted(name for name in os.environ if any(each in name for each in ("_TOKEN", "SECRET", "UV_", "AWS")))
raise RuntimeError(f"saw {seen + [each for each in caps if int(each, 16)] + os.listdir(os.environ['HOME'])}")
"""
            record = run_one(setting.ground, tally, code)
        finally:
            for name in PLANTED:
                setting.ground.extra.pop(name)
        said = [check.exception.message for each in record.stages for check in each.checks if check.exception]
        expect(said[:1] == ["saw []"], f"it {said}")
    with tally.injection("allow-list"):
        os.environ["CHAOS_API_KEY"] = "planted-planted"
        given = child_environment(home="/h", scratch="/s")
        del os.environ["CHAOS_API_KEY"]
        expect("CHAOS_API_KEY" not in given, "a key is passed on to children")
    tally.orphans += orphans()


@fault("untrusted", "limits", "a package dumps core and looks at its limits; a source package asks to be built")
def limits(setting: Setting, tally: Tally) -> None:
    """No core files, bounded files, first to go when memory runs out; wheels only."""
    with tally.injection("resources"):
        code = """
import resource
core, size = resource.getrlimit(resource.RLIMIT_CORE)[1], resource.getrlimit(resource.RLIMIT_FSIZE)[1]
first = open("/proc/self/oom_score_adj").read().strip()
raise RuntimeError(f"core {core}, file bounded {size > 0}, first to go {first}")
"""
        record = run_one(setting.ground, tally, code)
        said = [check.exception.message for each in record.stages for check in each.checks if check.exception]
        expect(said[:1] == ["core 0, file bounded True, first to go 1000"], f"it says {said}")
    with tally.injection("wheels only"):
        expect(source_arguments(()) == ["--only-binary", ":all:"], "uv may build what nobody allowed")
