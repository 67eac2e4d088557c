"""``python -m harness.diagnose bless | health | boundaries``."""

from harness.diagnose.command import catalogue

catalogue(prog_name="python -m harness.diagnose")
