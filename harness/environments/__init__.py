"""uv, locks, and the isolated environments built from them.

Imports only ``core``, ``process`` and, for a project's own lock, ``matrix``.
"""
