"""The two-pass smoke test: its image, its two requests, its judge."""
