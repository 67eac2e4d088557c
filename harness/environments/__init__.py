"""uv, locks, and the isolated environments built from them. Imports processes and files, no combinations."""
