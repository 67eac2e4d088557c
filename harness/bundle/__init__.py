"""Build here, boot there: packing chosen combinations for a host that has a GPU and no network.

:mod:`carry` decides which wheels a host lacks, :mod:`pack` writes the parts, :mod:`unpack` (stdlib alone) joins and
starts them, :mod:`harness.cli.bundle_host` runs them there on top of the host's own packages (:mod:`overlay`), and
:mod:`merge` takes the records home.

Imports only ``core``, ``engines``, ``environments``, ``evidence``, ``matrix``, ``miniatures``, ``process``, ``report``
and ``results``.
"""
