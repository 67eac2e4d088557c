"""What ``init`` does in somebody's repository: look, and write a matrix, a workflow and a hook.

Imports only ``core``, ``engines``, ``environments`` and ``matrix``.
"""
