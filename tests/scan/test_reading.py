"""What is read out of sources: imports and how they are guarded, names, lazy tables, conditions."""

from __future__ import annotations

import ast
import json
from textwrap import dedent

import pytest

from harness.scan.sources.conditions import Surroundings, decide, read_test
from harness.scan.sources.exports import exported_names
from harness.scan.sources.facts import (
    Bind,
    Branch,
    Exports,
    FromImport,
    Import,
    ImportSiblings,
    LazyModule,
    LazyNames,
    ModuleFacts,
    NameHook,
    OpenNames,
    Try,
    from_json,
    to_json,
)
from harness.scan.sources.surface import condensed, parse, parse_around, parse_classes, parse_headers, surface_of
from harness.scan.sources.syntax import read_module


def read(text: str, *, functions: bool = False) -> ModuleFacts:
    return read_module(dedent(text).encode(), functions=functions)


def test_imports_keep_their_lines_levels_and_names() -> None:
    facts = read("""
        import a.b as c
        from ..d import (e,
                         f as g)
    """)
    assert facts.steps == (Import(2, "a.b", "c"), FromImport(3, 2, "d", (("e", "e"), ("f", "g"))))


def test_what_is_only_for_type_checkers_is_not_there() -> None:
    facts = read("""
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from a import b
        else:
            from a import c
    """)
    branch = facts.steps[-1]
    assert isinstance(branch, Branch)
    assert branch.steps == ()
    assert branch.otherwise == (FromImport(6, 0, "a", (("c", "c"),)),)


def test_a_table_of_lazy_names_is_read_in_all_the_ways_it_is_written() -> None:
    facts = read("""
        _import_structure = {"a": ["A", "B"], "b": []}
        _import_structure["c"] = ["C"]
        _import_structure["a"].append("D")
        _import_structure["a"].extend(["E", "F"])
        _import_structure["dummies"] = [n for n in dir(dummies) if not n.startswith("_")]
        sys.modules[__name__] = _LazyModule(__name__, __file__, _import_structure, extra_objects={"VERSION": 1})
    """)
    tables = [step for step in facts.steps if isinstance(step, LazyNames)]
    assert [(t.module, t.names) for t in tables[:5]] == [
        ("a", ("A", "B")),
        ("b", ()),
        ("c", ("C",)),
        ("a", ("D",)),
        ("a", ("E", "F")),
    ]
    assert tables[5].everything
    assert LazyModule((), (), fast_aliases=False) in facts.steps
    assert Bind(("VERSION",)) in facts.steps


def test_a_scanning_lazy_module_tells_its_folder_and_its_old_names() -> None:
    facts = read("""
        _ALIASES = {"tokenization_utils_fast": "tokenization_utils_tokenizers"}
        structure = define_import_structure(Path(__file__).parent / "models", prefix="models")
        pattern = re.compile(r"models\\.(\\w+)\\.image_processing_(?!pil_)(\\w+)_fast")
        sys.modules[__name__] = _LazyModule(__name__, __file__, structure)
    """)
    expected = LazyModule(
        (("models", "models"),), (("tokenization_utils_fast", "tokenization_utils_tokenizers"),), fast_aliases=True
    )
    assert [step for step in facts.steps if isinstance(step, LazyModule)] == [expected]


def test_a_module_name_alone_makes_no_alias() -> None:
    facts = read("""
        _import_structure = {"image_processing_utils_fast": ["BaseImageProcessorFast"]}
        structure = define_import_structure(Path(__file__).parent / "models", prefix="models")
        sys.modules[__name__] = _LazyModule(__name__, __file__, structure)
    """)
    assert [step.fast_aliases for step in facts.steps if isinstance(step, LazyModule)] == [False]


def test_a_getattr_tells_the_names_it_serves_directly_and_through_tables() -> None:
    facts = read("""
        _MOVED = {"OldName": "new.place"}
        def __getattr__(name):
            if name in _MOVED or name == "Other":
                return 1
            raise AttributeError(name)
    """)
    hook = next(step for step in facts.steps if isinstance(step, NameHook))
    assert {"OldName", "Other"} <= set(hook.names)


def test_a_getattr_may_be_assigned() -> None:
    facts = read('__getattr__ = deprecated(__name__, rename={"OldKwargs": (New, "5.29.0")})')
    assert facts.steps == (NameHook(("OldKwargs",)),)


def test_other_ways_to_bring_in_names() -> None:
    facts = read("""
        __all__ = ["a"]
        __all__ += ["b"]
        @requires(backends=("torch",))
        class Public:
            from inner import thing
        for loader, name, is_pkg in pkgutil.walk_packages(__path__):
            importlib.import_module(f"{__name__}.{name}")
        globals().update(more)
        importlib.import_module("plain.module")
    """)
    assert Exports(("a",)) in facts.steps
    assert Exports(("b",)) in facts.steps
    assert Exports(("Public",)) in facts.steps
    assert any(isinstance(step, ImportSiblings) for step in facts.steps)
    assert OpenNames() in facts.steps
    assert Import(10, "plain.module", "") in facts.steps


def test_suppress_is_a_try() -> None:
    facts = read("""
        with suppress(ImportError):
            import optional
    """)
    step = facts.steps[0]
    assert isinstance(step, Try)
    assert step.handlers[0].catches == ("ImportError",)


def test_functions_with_imports_are_told_apart() -> None:
    facts = read(
        """
        class A:
            def plain(self):
                return 1
            def importing(self):
                from transformers import X
                def inner():
                    import y
        """,
        functions=True,
    )
    assert [(f.name, f.line) for f in facts.functions] == [("A.importing", 5), ("A.importing.inner", 7)]


def test_facts_survive_the_store() -> None:
    facts = read(
        """
        try:
            from a import b
        except (ImportError, KeyError):
            b = None
        else:
            c = 1
        finally:
            d = 2
        if sys.version_info >= (3, 11) and not is_torch_available():
            raise RuntimeError
        def f():
            import x
        """,
        functions=True,
    )
    assert from_json(json.loads(json.dumps(to_json(facts)))) == facts


def test_a_file_that_is_not_python_is_told_so() -> None:
    assert read("def (:").broken is not None


SURFACES = (
    "x = 1\ndef f(a,\n      b\n) -> int:\n    import y\n    return 1\nz = 2\n",
    'class A(B):\n    """Text\nwith a line that is not indented\n"""\n    y = 1\nfrom a import b\n',
    "@decorator\nasync def f():\n    pass\n# comment\nx = 1\n",
    "if TYPE_CHECKING:\n    from a import b\nelse:\n    from c import d\n",
    'def __getattr__(name):\n    if name == "Old":\n        return 1\n',
    "try:\n    from a import b\n    def f():\n        pass\nexcept ImportError:\n    b = None\n",
    'TEXT = """\nclass NotAClass:\n    no = 1\n"""\nfrom a import b\n',
)


@pytest.mark.parametrize("source", SURFACES)
def test_cutting_bodies_out_changes_nothing_of_what_is_read(source: str) -> None:
    from harness.scan.sources import syntax  # noqa: PLC0415 - its reader is called with the whole tree

    quick = read_module(source.encode(), functions=False)
    whole = syntax._ModuleReader().block(parse(source.encode()).body)
    assert quick.steps == syntax._merged(whole)


DANGLING = 'def f():\n    """Text\nnot indented\n    """\n\n\nclass C:\n    """More\n"""\n\n\nfrom a import b\n'
PROSE = 'def f():\n    """Text\nimport this\n    """\n\n\ndef g():\n    x = """\ntext"""\n\n\nfrom a import b\n'


@pytest.mark.parametrize(("source", "defined"), [(DANGLING, {"f", "C"}), (PROSE, {"f", "g"})], ids=["told", "unclear"])
def test_texts_that_are_not_indented_hide_nothing_that_follows(source: str, defined: set[str]) -> None:
    facts = read_module(source.encode(), functions=False)
    assert {name for step in facts.steps if isinstance(step, Bind) for name in step.names} == defined
    assert facts.steps[-1] == FromImport(source.count("\n"), 0, "a", (("b", "b"),))


def test_releases_that_differ_in_bodies_and_version_alone_read_alike() -> None:
    old = b"__version__ = '4.57.2'\nimport a\n\n\ndef f():\n    return 1\n"
    new = b"__version__ = '4.57.3'\nimport a\n\n\ndef f():\n    # mended\n    return 2\n"
    assert condensed(old) == condensed(new)
    assert condensed(new) != condensed(new.replace(b"import a", b"import b"))


METHODS = """
class C(Base):
    field: int = 1

    def __init__(
        self, a, *, b=(1, 2)
    ):
        super().__init__(a)

    def sets(self): self.late = 1

    @property
    def computed(self) -> int:
        '''Text
    def not_this(self)'''
        return 1

    async def later(self, x): (self.first,
            self.second) = x


def function(a):
    return C(a)
"""


def test_classes_keep_what_makes_their_objects() -> None:
    whole, cut = parse(METHODS.encode()).body, parse_classes(METHODS.encode()).body
    assert [type(node) for node in cut] == [type(node) for node in whole]
    assert isinstance(whole[0], ast.ClassDef)
    assert isinstance(cut[0], ast.ClassDef)
    for kept, full in zip(cut[0].body, whole[0].body, strict=True):
        assert (ast.dump(kept) == ast.dump(full)) is (getattr(full, "name", "") != "computed")


def test_headers_keep_their_parameters() -> None:
    cls = parse_headers(METHODS.encode()).body[0]
    assert isinstance(cls, ast.ClassDef)
    headers = {node.name: ast.unparse(node.args) for node in cls.body if isinstance(node, ast.FunctionDef)}
    assert headers == {"__init__": "self, a, *, b=(1, 2)", "sets": "self", "computed": "self"}


def test_only_the_definitions_around_some_lines_are_parsed_in_full() -> None:
    source = b"def f():\n    import a\n\n\ndef g():\n    return 1\n"
    first, second = parse_around(source, [2]).body
    assert isinstance(first, ast.FunctionDef)
    assert isinstance(second, ast.FunctionDef)
    assert isinstance(first.body[0], ast.Import)
    assert isinstance(second.body[0], ast.Pass)


def test_cutting_bodies_out_keeps_line_numbers() -> None:
    source = b"def f():\n    pass\n\n\nfrom a import b\n"
    assert surface_of(source).count(b"\n") == source.count(b"\n")
    assert parse(surface_of(source)).body[-1].lineno == 5


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('__all__ = ["A", "B"]', {"A", "B"}),
        ("__all__: list[str] = ('A',)", {"A"}),
        ('@requires(backends=("torch",))\nclass A:\n    pass', {"A"}),
        ("__all__ = [name for name in other]", set()),
        ("nothing = 1", set()),
    ],
)
def test_exports_are_read_without_parsing_the_file(source: str, expected: set[str]) -> None:
    assert exported_names(source.encode()) == expected


HERE = Surroundings(
    {"transformers": "4.57.3", "python": "3.11"}, {"is_torch_available": True, "is_flax_available": False}
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("TYPE_CHECKING", False),
        ("typing.TYPE_CHECKING", False),
        ("not TYPE_CHECKING", True),
        ("version.parse(transformers.__version__) >= version.parse('4.45.0')", True),
        ("transformers.__version__ < '4.45'", False),
        ("'4.45' > transformers.__version__", False),
        ("sys.version_info >= (3, 12)", False),
        ("is_torch_available() and is_flax_available()", False),
        ("is_torch_available() or unknown()", True),
        ("is_torch_available() and unknown()", None),
        ("importlib.metadata.version('transformers') == '4.57.3'", True),
        ("is_transformers_greater_or_equal('5.0')", False),
        ("torch.__version__ > '2'", None),
        ("something", None),
    ],
)
def test_conditions_are_decided_as_far_as_they_can_be(condition: str, expected: bool | None) -> None:
    assert decide(read_test(ast.parse(condition, mode="eval").body), HERE) is expected
