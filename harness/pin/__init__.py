"""The chosen stack, exported with the evidence for it.

Imports only ``core``, ``engines``, ``environments``, ``evidence``, ``matrix``, ``pipeline`` and ``process``.
"""
