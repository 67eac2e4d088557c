"""Code that runs inside a tested environment: standard library plus whatever is tested, Python 3.10 syntax.

Nothing here imports the rest of ``harness``; a probe answers only through its events file (:mod:`.events`).
"""
