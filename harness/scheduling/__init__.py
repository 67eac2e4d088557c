"""Running many combinations: what is known, priority, budget, shards, executors.

Imports only ``core``, ``environments``, ``evidence``, ``matrix``, ``pipeline``, ``process`` and ``results``.
"""
