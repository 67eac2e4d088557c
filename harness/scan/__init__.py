"""Compatibility told from the wheels' sources alone: nothing is installed, nothing is executed.

Three parts, each importing only those before it: ``sources`` reads, ``evaluation`` says what an import or a boot would
do, ``answers`` answers questions. Everything said here is a prediction; :mod:`harness.scan.answers.truth` measures it.

Imports only ``core``, ``engines``, ``environments``, ``index`` and ``matrix``.
"""
