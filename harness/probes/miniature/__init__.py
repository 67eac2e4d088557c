"""Making miniatures: runs in an environment of its own, standard library, torch and transformers."""
