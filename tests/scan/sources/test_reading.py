"""What is read out of a module: imports and how they are guarded, names, lazy tables."""

from __future__ import annotations

from textwrap import dedent

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
)
from harness.scan.sources.reading import read_module


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


def test_a_file_that_is_not_python_is_told_so() -> None:
    assert read("def (:").broken is not None
