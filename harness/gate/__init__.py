"""Gating a dependency bump: a run is accepted as the baseline, and a change is compared with it before it is merged.

The way through: :mod:`change` and :mod:`diff` say what is bumped, :mod:`candidates` which combinations that touches,
:mod:`trial` runs them, :mod:`judge` and :mod:`noise` class each and draw the conclusion, and :mod:`outcome` is what
all outputs are made of.

Imports only ``core``, ``environments``, ``evidence``, ``index``, ``matrix``, ``pipeline``, ``process``, ``scheduling``
and ``session``.
"""
