"""The engine's arithmetic on the CPU, compared with transformers'."""
