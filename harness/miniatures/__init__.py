"""Miniatures: tiny random checkpoints of a model's own architecture, made from its published configuration.

Imports only ``core``, ``environments``, ``matrix`` and ``process``.
"""
