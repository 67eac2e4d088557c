"""What moved between two stacks, and which of the moves turns the verdict.

Imports only ``core``, ``environments``, ``matrix``, ``pipeline`` and ``session``.
"""
