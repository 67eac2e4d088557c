"""Running many combinations: what is known, priority, budget, shards, executors.

Imports only ``core``, ``environments``, ``matrix``, ``pipeline``, ``process`` and ``results``.
"""
