"""The report: records in, one self-contained HTML file and the same facts as JSON out.

Imports only ``core``, ``engines``, ``evidence`` and ``probes``.
"""

from harness.report.context import build_context
from harness.report.markdown import render_markdown
from harness.report.model import ReportContext
from harness.report.render import render_html
from harness.report.write import write_report

__all__ = ["ReportContext", "build_context", "render_html", "render_markdown", "write_report"]
