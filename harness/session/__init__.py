"""What a command works with: an opened project, its plan, its report kept current, and disk space given back.

Imports only ``core``, ``environments``, ``evidence``, ``index``, ``matrix``, ``miniatures``, ``pipeline``, ``process``,
``report``, ``results``, ``scan`` and ``scheduling``.
"""
