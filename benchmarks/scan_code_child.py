"""Runs inside an environment for :mod:`benchmarks.scan_code`: really imports what files of a project ask for.

Two questions, answered without the scan. Of every import statement that any syntax tree of the project has: does it
work, name by name? And of every file that imports the package outside of functions: does executing it end in an
``ImportError`` about that package? For the second, everything but the packages that are asked about is stood in for, so
that a file is judged by what it takes from them and not by what else is not installed. Standard library only.
"""

import ast
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

ANSWERS = "ANSWERS"


def statements(tree: ast.Module, root: str) -> "list[tuple[int, str, str]]":
    """Line, module and name of every import of a package, wherever it stands."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, "") for alias in node.names if alias.name.partition(".")[0] == root]
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] == root:
            found += [(node.lineno, node.module or "", alias.name) for alias in node.names]
    return found


def imported(module: str, name: str) -> str:
    """What importing it raises; empty when it works."""
    statement = f"from {module} import {name}" if name else f"import {module}"
    try:
        exec(statement, {})  # noqa: S102 - the statement of the project is what is asked about
    except BaseException as error:  # noqa: BLE001 - whatever the package raises is the answer
        return f"{type(error).__name__}: {error}"[:300]
    return ""


class Anything(type):
    """A class that has every attribute, can be called, subclassed, indexed and used as a decorator."""

    def __getattr__(cls, name: str) -> Any:  # noqa: ANN401 - anything
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (), {})

    def __call__(cls, *given: Any, **_: Any) -> Any:  # noqa: ANN401 - as above
        """As a decorator it changes nothing."""
        return given[0] if len(given) == 1 and callable(given[0]) else Anything("made", (), {})

    def __getitem__(cls, _: object) -> Any:  # noqa: ANN401 - as above
        return cls

    def __iter__(cls) -> Any:  # noqa: ANN401 - as above
        return iter(())

    def __bool__(cls) -> bool:
        return True

    def __or__(cls, _: object) -> Any:  # noqa: ANN401 - as above
        return cls

    __ror__ = __or__


class StandIn(types.ModuleType):
    """A module that has every name."""

    __path__: "list[str]" = []  # noqa: RUF012 - what makes it a package
    __version__ = "99.0"
    __all__: "list[str]" = []  # noqa: RUF012 - a star takes nothing

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - anything
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (), {})


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for every module that is neither of the standard library nor really asked for."""

    def __init__(self, real: "set[str]") -> None:
        self.real = real

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> Any:  # noqa: ANN401 - a spec or none
        """A stand-in, or nothing for what shall really be imported."""
        if name.partition(".")[0] in self.real:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> types.ModuleType:  # noqa: ANN401 - a spec
        """The stand-in."""
        return StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is executed."""


def executed(path: Path, package: str, root: str) -> str:
    """What executing a file raises, in a process of its own; ``ended`` when nothing."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        word = ended(path, package, root)
        os.write(writing, word.encode()[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        word = pipe.read().decode(errors="replace")
    os.wait()
    return word or "crashed"


def ended(path: Path, package: str, root: str) -> str:
    """How executing a file ends."""
    installed = {name.partition(".")[0] for name in sys.modules} - {package.partition(".")[0]}
    sys.meta_path.insert(0, StandIns(set(sys.stdlib_module_names) | installed | {root, "torch", "numpy", "packaging"}))
    namespace = {"__name__": package, "__package__": package.rpartition(".")[0], "__file__": str(path)}
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), namespace)  # noqa: S102 - as above
    except (ImportError, AttributeError) as error:
        about = getattr(error, "name", None) or str(error)
        trace, line = error.__traceback__, 0
        while trace is not None:
            line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(path) else line
            trace = trace.tb_next
        return f"{type(error).__name__}|{about}|{line}|{error}"
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return f"other|||{type(error).__name__}: {error}"[:300]
    return "ended"


def main(order_file: str) -> None:
    """Answer one order: the sources of projects, and the packages that they are asked about."""
    order = json.loads(Path(order_file).read_text(encoding="utf-8"))
    answers: list[dict[str, object]] = []
    known: dict[tuple[str, str], str] = {}
    for root in order["roots"]:
        importlib.import_module(root)
        for project, folder in order["projects"].items():
            for path in sorted(Path(folder).rglob("*.py")):
                source = path.read_bytes()
                if root.encode() not in source:
                    continue
                try:
                    tree = ast.parse(source)
                except SyntaxError:
                    continue
                relative = path.relative_to(folder).as_posix()
                asked = statements(tree, root)
                for line, module, name in asked:
                    if (module, name) not in known:
                        known[module, name] = imported(module, name)
                    answer = {"file": relative, "line": line, "module": module, "name": name}
                    answers.append({"root": root, "project": project, **answer, "raised": known[module, name]})
                if any(line in outside(tree) for line, _, _ in asked):
                    dotted = relative[:-3].replace("/", ".").replace(".__init__", "")
                    answers.append(
                        {"root": root, "project": project, "file": relative, "executed": executed(path, dotted, root)}
                    )
    print(ANSWERS + json.dumps(answers))


def outside(tree: ast.Module) -> "set[int]":
    """Lines that are not inside a function."""
    inside: set[int] = set()
    every: set[int] = set()
    for node in ast.walk(tree):
        every.add(getattr(node, "lineno", 0))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside.update(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
    return every - inside


if __name__ == "__main__":
    main(sys.argv[1])
