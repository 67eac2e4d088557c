"""Child processes: supervisor, limits, sandbox, scratch folders, redaction.

Imports only ``core``.
"""
