"""A wheel that is public."""

from __future__ import annotations

HASH = "ab" * 32
PUBLIC = f"https://files.example.org/packages/aa/bb/{'c' * 60}/some-1.0-py3-none-any.whl"
