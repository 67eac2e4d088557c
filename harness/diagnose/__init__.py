"""What went wrong, by known signatures kept as data: evidence in, diagnosis out.

:class:`~harness.diagnose.evidence.Evidence` is made from a log, a traceback or a probe's exception record;
:func:`~harness.diagnose.classify.classify` always answers with a :class:`~harness.diagnose.classify.Diagnosis`.
The failures themselves are described in ``signatures.yaml``, never in code.

Imports only ``core``, ``engines`` and ``process``.
"""

from __future__ import annotations

from harness.diagnose.classify import Diagnosis, classify
from harness.diagnose.evidence import Evidence

__all__ = ["Diagnosis", "Evidence", "classify"]
