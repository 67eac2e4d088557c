"""Records on disk, and questions to them.

Imports only ``core``.
"""
