"""Remedies: a change proposed from a diagnosis, tried for real, and written into the matrix when it helped.

Imports only ``core``, ``diagnose``, ``engines``, ``incidents`` and ``matrix``.
"""
