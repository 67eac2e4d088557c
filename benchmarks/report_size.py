"""How large and how fast a report of many combinations is: ``python -m benchmarks.report_size [--combinations 10000]``.

``--machines 5`` deals the combinations out to so many machines, as a joined report has them.

The records are made up. Prints the time of each step, the file's size and, where a Chromium is found, the browser's
first paint and the time of every kind of filter. A loaded machine shows in the clock's figures; the load is printed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from harness.report import build_context, render_html
from tests.report.extras import MODELS
from tests.report.samples import START, grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import CDPSession, Page
    from pydantic import JsonValue

Result = TypeVar("Result")

SIZE_LIMIT = 6_000_000
"""Bytes of the file."""
PAINT_LIMIT = 1_500
"""Milliseconds to the first contentful paint."""
FILTER_LIMIT = 100
"""Milliseconds from a filter's event to the next frame, which shows its answer."""
ROUNDS = 5
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
MEASURE = """async ([control, value]) => {
  const element = document.getElementById(control);
  element.value = value;
  const start = performance.now();
  element.dispatchEvent(new Event(element.tagName === "INPUT" ? "input" : "change"));
  document.body.offsetHeight;
  const laidOut = performance.now() - start;
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  await frame();
  const framed = performance.now() - start;
  let settled = framed;
  for (let quiet = 0, last = performance.now(); quiet < 5;) {
    await frame();
    const now = performance.now();
    if (now - last < 30) quiet += 1; else { quiet = 0; settled = now - start; }
    last = now;
  }
  return [laidOut, framed, settled];
}"""
STEPS = (
    ("filter-q", "i"),
    ("filter-q", "imageskwargs 0.11"),
    ("filter-q", ""),
    ("filter-state", "pass"),
    ("filter-state", ""),
    ("filter-backend", "pytorch"),
    ("filter-group", "cause"),
    ("filter-sort", "-transformers"),
    ("filter-backend", ""),
    ("filter-group", ""),
)


def timed(what: str, work: Callable[[], Result]) -> Result:
    """The work's result; its seconds are printed."""
    started = time.perf_counter()
    result = work()
    print(f"{what:<28}{time.perf_counter() - started:8.2f} s")
    return result


class Sample(NamedTuple):
    """One filter, milliseconds."""

    laid_out: float
    """From the event to the page laid out, by the clock."""
    framed: float
    """From the event to the next frame, by the clock."""
    settled: float
    """From the event to the last frame with work for it, by the clock: a large map comes back after the answer."""
    busy: float
    """Processor time of the page's main thread for all of it: what a loaded machine does not change."""


def measured(page: Page, step: tuple[str, str, str], session: CDPSession) -> Sample:
    """Use one filter with the given part of the page in view."""
    page.evaluate("(part) => document.querySelector(part).scrollIntoView({ behavior: 'instant' })", step[2])
    page.wait_for_timeout(200)
    before = thread_time(session)
    laid_out, framed, settled = page.evaluate(MEASURE, [*step[:2]])
    return Sample(laid_out, framed, settled, thread_time(session) - before)


def thread_time(session: CDPSession) -> float:
    """Processor time that the page's main thread has used so far, milliseconds."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(1000 * float(metric["value"]) for metric in metrics if metric["name"] == "ThreadTime")


def in_browser(page_file: Path) -> bool:
    """Print what the browser measures; whether every figure is within its limit."""
    path = os.environ.get("HARNESS_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        print("no Chromium found: paint and filters not measured")
        return True
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only needed where there is a browser

    paints: list[float] = []
    filters: dict[str, list[Sample]] = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        for _ in range(ROUNDS):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto(page_file.as_uri())
            page.wait_for_selector("html[data-ready]", timeout=60_000)
            page.wait_for_timeout(1_000)
            paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            for part in ("#matrix", "#maps .facet"):
                for control, value in STEPS:
                    sample = measured(page, (control, value, part), session)
                    filters.setdefault(f"{control} {value!r} at {part}", []).append(sample)
            page.close()
        browser.close()
    return reported(paints, filters)


def reported(paints: list[float], filters: dict[str, list[Sample]]) -> bool:
    """Print the figures; whether they are within their limits."""
    print(f"first contentful paint      median {statistics.median(paints):.0f} ms, worst {max(paints):.0f} ms\n")
    print(f"{'filter, medians of ' + str(ROUNDS):<52} laid out  next frame  settled  processor")
    slowest = 0.0
    for name, samples in filters.items():
        laid_out, framed, settled, busy = (statistics.median(column) for column in zip(*samples, strict=True))
        slowest = max(slowest, framed)
        print(f"{name:<52} {laid_out:5.0f} ms    {framed:5.0f} ms {settled:5.0f} ms   {busy:5.0f} ms")
    print(f"\nslowest filter, next frame  {slowest:.0f} ms")
    return statistics.median(paints) <= PAINT_LIMIT and slowest <= FILTER_LIMIT


def main() -> int:
    """Measure; 0 when every figure is within its limit, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--combinations", type=int, default=10_000)
    parser.add_argument("--machines", type=int, default=1)
    wanted = parser.parse_args()
    records = timed("made-up records", lambda: list(grid(wanted.combinations)))
    others = [(f"imported/{place % wanted.machines}", record) for place, record in enumerate(records)]
    own = [record for place, record in enumerate(records) if place % wanted.machines == 0]
    elsewhere = [each for place, each in enumerate(others) if place % wanted.machines]
    extras: dict[str, JsonValue] = {"models": MODELS}
    context = timed("context", lambda: build_context(own, generated=START, extras=extras, elsewhere=elsewhere))
    text = timed("page", lambda: render_html(context))
    size = len(text.encode())
    print(f"{'file':<28}{size / 1e6:8.2f} MB")
    with tempfile.TemporaryDirectory() as folder:
        page_file = Path(folder) / "index.html"
        page_file.write_text(text, "utf-8")
        fast = in_browser(page_file)
    print(f"load average: {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")
    return 0 if fast and size <= SIZE_LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
