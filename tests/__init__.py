"""Tests: miniatures drive the whole pipeline; a marked set runs the real packages."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
"""The project's folder."""
