"""What is known of a stack for a model, from every record of every machine, and the one answer that follows.

The way through: :mod:`sources` reads the records that are here, :mod:`sightings` says what each of them shows,
:mod:`stacks` joins them to what is known of a stack, :mod:`choice` ranks the stacks for a target, and :mod:`told` has
the sentences. Report, pin, results, suggest and gate answer from here and from nothing else.

Imports only ``core``, ``engines``, ``environments``, ``matrix``, ``probes`` and ``results``.
"""
