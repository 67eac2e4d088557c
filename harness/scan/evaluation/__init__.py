"""Evaluating: what an import, and a boot with a model, would do with what the sources say."""
