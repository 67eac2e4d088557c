"""The context rendered into one self-contained HTML file: style, script and data inside, nothing fetched."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from harness.core.collector import without_collection
from harness.core.verdict import Stage, Status
from harness.report import wording
from harness.report.axes import ABSENT
from harness.report.pack import page_data
from harness.report.sources import STALE_DAYS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.report.model import CheckEntry, CombinationEntry, ModelFacts, ReportContext

HERE = Path(__file__).resolve().parent
HEAD_SCRIPT = "head.js"
STYLES = ("base.css", "matrix.css", "combination.css", "views.css", "print.css")
SCRIPTS = (
    "dom.js",
    "data.js",
    "state.js",
    "filter.js",
    "matrix.js",
    "list.js",
    "measures.js",
    "engine.js",
    "passes.js",
    "stack.js",
    "log.js",
    "bugreport.js",
    "combination.js",
    "architectures.js",
    "main.js",
)
"""In the order of their dependence; each is a plain script of functions, joined into one."""
DENSE = 12
"""Columns from which on a cell shows its mark without the stage's name."""


LONG_COMMAND = 16
"""Lines from which on a command is folded; its button copies it whole."""
MOST_MEASURED = 300
"""Rows of the table of what was measured on a GPU."""
TITLED = 2_000
"""Combinations up to which every cell carries its verdict for readers without JavaScript, who else find it one click
away in the list."""


@without_collection()
def render_html(context: ReportContext) -> str:
    """The whole report as one HTML document."""
    style, first, script = _style(), _asset(HEAD_SCRIPT), _script()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=context,
            known={entry.id for entry in context.combinations},
            data=page_data(context),
            style=Markup(style),  # noqa: S704 - the project's own file, nothing from outside
            first_script=Markup(first),  # noqa: S704 - same
            script=Markup(script),  # noqa: S704 - same
            policy=content_policy([style], [first, script]),
        )
    )


def content_policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """The content security policy: these styles and scripts by their hashes, and nothing else at all."""
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src {' '.join(map(_digest, styles))}; script-src {' '.join(map(_digest, scripts))}"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return (HERE / "assets" / name).read_text("utf-8")


@cache
def _style() -> str:
    return "\n".join(map(_asset, STYLES))


@cache
def _script() -> str:
    return '(() => {\n"use strict";\n' + "\n".join(map(_asset, SCRIPTS)) + "\n})();"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters |= {
        "fragment": lambda text: quote(text, safe=""),
        "day": lambda text: text[:10],
        "minute": lambda text: text[:16].replace("T", " ") + " UTC",
        "gib": gib,
        "ticked": ticked,
        "whole_options": whole_options,
        "of_real_size": of_real_size,
        "of_this_machine": lambda places, report: [each for each in places if not report.combinations[each].source],
        "place": place,
        "samples": samples,
        "span": span,
        "groupby_kept": lambda items, name: [(key, list(group)) for key, group in groupby(items, attrgetter(name))],
        "total": lambda counts: sum(counts.values()),
    }
    environment.tests["of_a_miniature"] = of_a_miniature
    environment.globals |= {
        "ABSENT": ABSENT,
        "CHANGES": wording.CHANGES,
        "DENSE": DENSE,
        "STALE_DAYS": STALE_DAYS,
        "FAMILIES": wording.FAMILIES,
        "LEVELS": wording.LEVELS,
        "LEVEL_SHORT": wording.LEVEL_SHORT,
        "LEVEL_WORDS": wording.LEVEL_WORDS,
        "heading_of": wording.heading_of,
        "look_of": wording.look_of,
        "STATES": wording.STATES,
        "TITLED": TITLED,
        "LONG_COMMAND": LONG_COMMAND,
        "MOST_MEASURED": MOST_MEASURED,
        "stages": list(Stage),
    }
    return environment


def place(entry: CombinationEntry) -> str:
    """The stage that a cell names: where it failed, or the last that passed before it was blocked."""
    if entry.status is Status.BLOCKED:
        return wording.stage_word(entry.height)
    return "" if entry.status is Status.PASS else wording.stage_word(entry.stage)


def ticked(text: str) -> Markup:
    """Prose in which `backticks` stand around code, as the incidents have it."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(it) if place % 2 else it for place, it in enumerate(parts))


def of_a_miniature(group: tuple[str, object], models: Mapping[str, ModelFacts]) -> bool:
    """Whether the maps are a miniature's."""
    return group[0] in models and models[group[0]].weights == "miniature"


def of_real_size(places: Sequence[int], report: ReportContext) -> list[int]:
    """Those combinations whose speed and memory mean something."""
    tiny = {name for name, facts in report.models.items() if facts.weights == "miniature"}
    return [each for each in places if report.combinations[each].axes.get("model") not in tiny]


def whole_options(command: str) -> Markup:
    """A command in which no line breaks within the name of an option; its text stays the same."""
    marked = re.sub(r"--[a-z-]+", r'<span class="word">\g<0></span>', str(escape(command)))
    return Markup(marked)  # noqa: S704 - escaped above


def gib(mib: int) -> str:
    """Memory for reading."""
    return f"{mib / 1024:.1f} GiB"


class Samples(NamedTuple):
    """One pass's warm requests in a word, and in a sentence."""

    words: str
    title: str


def samples(entry: CombinationEntry, checks: Sequence[CheckEntry], stage: str) -> Samples | None:
    """The median of a pass's warm requests; None where it was not asked twice."""
    indices = (index for reached in entry.stages for index in reached.checks)
    for found in (found for index in indices for found in checks[index].passes):
        if found.stage == stage and len(found.latencies) > 1:
            cold, *warm = found.latencies
            spread = f"{seconds(min(warm))} to {seconds(max(warm))}"
            return Samples(seconds(median(warm)), f"first {seconds(cold)}, then {len(warm)} times {spread}")
    return None


def seconds(value: float) -> str:
    """A short time for reading."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def span(values: list[str], most: int = 6) -> str:
    """A short list of versions, or its ends and its length."""
    if len(values) <= most:
        return ", ".join(values)
    return f"{values[0]} … {values[-1]} ({len(values)} versions)"
