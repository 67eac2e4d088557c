# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "click>=8.2",
#     "filelock>=3.20",
#     "google-re2>=1.1.20251105",
#     "httpx>=0.28",
#     "installer>=0.7",
#     "jinja2>=3.1.6",
#     "nox>=2026.8",
#     "nvidia-ml-py>=13",
#     "packaging>=26",
#     "platformdirs>=4.5",
#     "psutil>=7",
#     "pydantic>=2.12",
#     "rich>=14",
#     "ruamel.yaml>=0.18",
#     "stamina>=25.1",
#     "tomli-w>=1.2",
#     "uv>=0.9",
# ]
# ///
"""Sessions of the compatibility harness; each is a thin layer over a ``lmdeploy-harness`` command.

``uvx nox -s matrix`` runs the main job, ``uvx nox -s tests`` the tests, ``nox -l`` lists every combination.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from harness.cli.nox_sessions import matrix_parameters, run_session  # noqa: E402 - the package stands beside this file

nox.needs_version = ">=2026.8"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["tests"]
nox.options.reuse_existing_virtualenvs = True

COMBINATIONS, MATRIX_TROUBLE = matrix_parameters(ROOT / "matrix.yaml")


@nox.session(venv_backend="none")
@nox.parametrize("combination", COMBINATIONS)
def matrix(session: nox.Session, combination: str) -> None:
    """Take one combination through the stages."""
    if MATRIX_TROUBLE:
        session.error(MATRIX_TROUBLE)
    run_session(session, ROOT / "matrix.yaml", combination)


def _harness(session: nox.Session, *arguments: str) -> None:
    session.run(sys.executable, "-m", "harness", *arguments, *session.posargs, external=True)


@nox.session(venv_backend="none")
def plan(session: nox.Session) -> None:
    """Print what the matrix would run and cost, before anything is installed (-- -v lists each combination)."""
    _harness(session, "plan")


@nox.session(venv_backend="none")
def report(session: nox.Session) -> None:
    """Render reports/index.html from the records."""
    _harness(session, "report")


@nox.session(venv_backend="none")
def incidents(session: nox.Session) -> None:
    """Run the troubleshooting log: still reproduces, diagnosed as, remedy verified."""
    _harness(session, "incidents")


@nox.session(venv_backend="none")
def scan(session: nox.Session) -> None:
    """Predict the map lmdeploy x transformers from the wheels' sources; nothing is installed."""
    _harness(session, "scan", "--write", str(ROOT / "reports"))


@nox.session(venv_backend="none")
def models(session: nox.Session) -> None:
    """Try a miniature of every architecture on every stack of matrices/models.yaml: emulated, number by number."""
    _harness(
        session,
        "run",
        "--matrix",
        str(ROOT / "matrices" / "models.yaml"),
        "--reports",
        str(ROOT / "reports" / "models"),
    )


@nox.session(name="scan-truth", venv_backend="none")
def scan_truth(session: nox.Session) -> None:
    """Measure the scan: import for real what it predicts, on real environments."""
    _harness(session, "scan-truth")


@nox.session(venv_backend="none")
def baseline(session: nox.Session) -> None:
    """Accept the latest run as the baseline: writes baseline.yaml, to be reviewed and committed."""
    _harness(session, "baseline")


@nox.session(venv_backend="none")
def gate(session: nox.Session) -> None:
    """Compare a bump with the baseline: -- "transformers==5.23.0", or -- --from-diff FILE|-|REV."""
    code = subprocess.call([sys.executable, "-m", "harness", "gate", *session.posargs])
    if code:
        sys.exit(code)  # nox's own ending knows only 0 and 1


@nox.session(venv_backend="none")
def catalogue(session: nox.Session) -> None:
    """Check the catalogue of known failures: dead, shadowed and unproven signatures (-- --cases FILE to measure)."""
    _harness(session, "catalogue", "health")


@nox.session(name="explain-eval", venv_backend="none")
def explain_eval(session: nox.Session) -> None:
    """Measure harness explain on texts of public reports."""
    session.run(sys.executable, "-m", "benchmarks.explain_eval", *session.posargs, external=True)


@nox.session(venv_backend="none")
def pin(session: nox.Session) -> None:
    """Choose a proven stack and write it to reports/pins with its evidence (-- --gpu-memory 8GiB --python 3.12)."""
    _harness(session, "pin")


@nox.session(venv_backend="none")
def reference(session: nox.Session) -> None:
    """Renew the reference run without a GPU, the joined page and the pins (an hour on two cores; -- adds to it)."""
    cpu = str(ROOT / "reports" / "reference" / "cpu")
    # 1 is an unexpected verdict: a finding, which the page shows, and no reason to stop
    run = [sys.executable, "-m", "harness", "run", "--fresh", "--refresh", "--reports", cpu, *session.posargs]
    session.run(*run, external=True, success_codes=[0, 1])
    session.run(sys.executable, "-m", "harness", "scan", "--write", cpu, external=True)
    _joined(session, ROOT / "reports" / "reference")
    for backend in ("pytorch", "turbomind"):
        for preference in ("newest", "conservative"):
            wish = ["--model", "qwen2-vl-2b-instruct", "--gpu-memory", "8GiB", "--backend", backend]
            name = f"qwen2-vl-2b-8gib-{backend}-{preference}"
            pinned = ["pin", *wish, "--prefer", preference, "--name", name]
            session.run(sys.executable, "-m", "harness", *pinned, external=True)


def _joined(session: nox.Session, folder: Path) -> None:
    session.run(sys.executable, "-m", "harness", "report", "--joined", "--out", str(folder), external=True)


@nox.session
def site(session: nox.Session) -> None:
    """Build into site/ what is published: these pages, the joined report, badges, and the pins."""
    _install(session, "docs")
    session.run("mkdocs", "build", env={"NO_MKDOCS_2_WARNING": "1"})
    built = ROOT / "site"
    _joined(session, built / "report")
    session.run(sys.executable, "-m", "harness", "stacks", "--badges", str(built / "badges"), external=True)
    shutil.copytree(ROOT / "reports" / "pins", built / "pins", dirs_exist_ok=True)


@nox.session(venv_backend="none")
def gc(session: nox.Session) -> None:
    """Delete environments and answers that no record needs any more (-- --all for all that can be made again)."""
    _harness(session, "gc")


def _install(session: nox.Session, group: str = "dev") -> None:
    place = session.virtualenv.location
    sync = ("uv", "sync", "--quiet", "--locked", "--python", place, "--no-default-groups", "--group", group)
    session.run_install(*sync, env={"UV_PROJECT_ENVIRONMENT": place})


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests on miniatures: offline, three minutes on two cores."""
    _install(session)
    chosen = "not real and not ray and not long and not browser"
    session.run("pytest", "-m", chosen, "-n", "auto", "--dist", "loadgroup", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Run the report's tests in a real headless Chromium."""
    _install(session)
    session.run("pytest", "-m", "browser", *session.posargs)


@nox.session
def real(session: nox.Session) -> None:
    """Run the tests on the real packages, two combinations emulated: gigabytes and minutes."""
    _install(session)
    session.run("pytest", "-m", "real", *session.posargs)


@nox.session
def ray(session: nox.Session) -> None:
    """Run the tests on real Ray nodes; Ray gives up starting where a machine is busy."""
    _install(session)
    session.run("pytest", "-m", "ray", *session.posargs)


@nox.session
def long(session: nox.Session) -> None:
    """Run the tests on the real packages that take longer than a change should wait, such as a whole bisection."""
    _install(session)
    session.run("pytest", "-m", "long", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Bring about faults on purpose and count what is lost, left behind or let in (-- --quick, --only disk/*)."""
    _install(session)
    session.run("python", "-m", "tests.chaos", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site into site/; a broken link or a missing page fails."""
    _install(session, "docs")
    session.run("mkdocs", "build", *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and which folder imports which."""
    _install(session)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports")
