"""Tests: miniatures drive the whole pipeline; a marked set runs the real packages."""
