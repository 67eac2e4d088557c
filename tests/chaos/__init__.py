"""The fault suite: what goes wrong in the world, brought about on purpose, and what became of it."""
