"""The chosen stack, exported with the evidence for it."""
