"""One combination on its way through the stages: checks, their runner and cache, checkpoints, GPU leases.

Imports only ``core``, ``diagnose``, ``engines``, ``environments``, ``matrix``, ``probes`` and ``process``.
"""
