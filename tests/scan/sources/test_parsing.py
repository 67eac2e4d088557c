"""A source without its bodies reads the same."""

from __future__ import annotations

import ast

import pytest

from harness.scan.sources import reading
from harness.scan.sources.facts import Bind, FromImport
from harness.scan.sources.parsing import condensed, parse, parse_around, parse_classes, parse_headers, surface_of
from harness.scan.sources.reading import read_module

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
    quick = read_module(source.encode(), functions=False)
    whole = reading._ModuleReader().block(parse(source.encode()).body)
    assert quick.steps == reading._merged(whole)


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
