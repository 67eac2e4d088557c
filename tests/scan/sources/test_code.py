"""What is read of somebody's own code."""

from __future__ import annotations

from textwrap import dedent

from harness.scan.evaluation.needs import Guard, needs_in
from harness.scan.sources.code import read_code, roots_of


def asked(text: str, root: str = "lmdeploy") -> list[tuple[str, int, str, Guard]]:
    """Name, line, function and guard of all that a source asks of a package."""
    needs = needs_in(read_code(dedent(text).encode()), "app.py", "app.py", root)
    return [(need.symbol, need.line, need.function, need.guard) for need in needs]


def test_hard_soft_typing_version_and_lazy_imports_are_told_apart() -> None:
    assert asked("""
        from typing import TYPE_CHECKING
        import lmdeploy
        from lmdeploy import pipeline
        if TYPE_CHECKING:
            from lmdeploy.messages import Response
        try:
            from lmdeploy.old import A
        except ImportError:
            A = None
        if lmdeploy.__version__ >= "0.7":
            from lmdeploy.new import B
        class Server:
            from lmdeploy.inside import C
            def start(self):
                from lmdeploy.serve import D
                def again():
                    from lmdeploy.serve import E
    """) == [
        ("lmdeploy", 3, "", Guard.NONE),
        ("lmdeploy.pipeline", 4, "", Guard.NONE),
        ("lmdeploy.messages.Response", 6, "", Guard.TYPING),
        ("lmdeploy.old.A", 8, "", Guard.TRY),
        ("lmdeploy.__version__", 11, "", Guard.NONE),
        ("lmdeploy.new.B", 12, "", Guard.VERSION),
        ("lmdeploy.inside.C", 14, "", Guard.NONE),
        ("lmdeploy.serve.D", 16, "Server.start", Guard.NONE),
        ("lmdeploy.serve.E", 18, "Server.start.again", Guard.NONE),
    ]


def test_attributes_of_imported_modules_are_asked_for() -> None:
    assert asked("""
        import lmdeploy as engine
        import lmdeploy.serve.core
        pipe = engine.pipeline("m")
        def f(x, *, y=engine.TurbomindEngineConfig):
            with lmdeploy.serve.core.thing() as t:
                return t if x else engine.perhaps
        late = lambda: engine.never
    """) == [
        ("lmdeploy", 2, "", Guard.NONE),
        ("lmdeploy.serve.core", 3, "", Guard.NONE),
        ("lmdeploy.pipeline", 4, "", Guard.NONE),
        ("lmdeploy.TurbomindEngineConfig", 5, "", Guard.NONE),
        ("lmdeploy.serve.core.thing", 6, "f", Guard.NONE),
        ("lmdeploy.perhaps", 7, "f", Guard.CONDITION),
    ]


def test_what_is_no_module_any_more_is_not_looked_into() -> None:
    assert [each[0] for each in asked("import lmdeploy\nlmdeploy = wrap(lmdeploy)\nlmdeploy.anything\n")] == [
        "lmdeploy"
    ]


def test_what_the_code_puts_in_itself_need_not_be_there() -> None:
    source = "import lmdeploy\nlmdeploy.mine = 1\nlmdeploy.mine\nfrom lmdeploy import deep\ndeep.x = 2\n"
    found = asked(source + "from lmdeploy.deep import x\n")
    assert found == [
        ("lmdeploy", 1, "", Guard.NONE),
        ("lmdeploy.deep", 4, "", Guard.NONE),
        ("lmdeploy.deep.x", 6, "", Guard.CONDITION),
    ]


def test_annotations_count_unless_they_are_evaluated_late() -> None:
    source = "import lmdeploy\ndef f(x: lmdeploy.A) -> lmdeploy.B: ...\n"
    assert {each[0] for each in asked(source)} == {"lmdeploy", "lmdeploy.A", "lmdeploy.B"}
    assert [each[0] for each in asked(f"from __future__ import annotations\n{source}")] == ["lmdeploy"]


def test_imports_by_call_and_relative_ones() -> None:
    source = "from . import lmdeploy\nfrom .lmdeploy import x\nm = importlib.import_module('lmdeploy.api')\n"
    assert [each[0] for each in asked(source)] == ["lmdeploy.api"]


def test_a_file_that_is_no_python_says_so() -> None:
    facts = read_code(b"print 'two'\n")
    assert facts.broken is not None
    assert facts.broken.startswith("SyntaxError")
    assert roots_of(facts) == set()


def test_roots_are_found_behind_every_guard() -> None:
    source = (
        "import os\nif x:\n    import a.b\ntry:\n    import c\nexcept E:\n    from d import e\ndef f():\n    import g\n"
    )
    assert roots_of(read_code(source.encode())) == {"os", "a", "c", "d", "g"}
