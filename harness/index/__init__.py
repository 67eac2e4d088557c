"""The client of package indexes: releases, files, metadata, parts of archives, and what is kept of them.

Imports only ``core``, ``environments`` and ``matrix``.
"""
