"""Answering: pairs, maps, deadlocks, names, and how right the predictions are."""
