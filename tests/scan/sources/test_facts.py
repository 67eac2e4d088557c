"""What was read, kept."""

from __future__ import annotations

import json
from textwrap import dedent

from harness.scan.sources.facts import from_json, to_json
from harness.scan.sources.reading import read_module


def test_facts_survive_the_store() -> None:
    source = dedent(
        """
        try:
            from a import b
        except (ImportError, KeyError):
            b = None
        else:
            c = 1
        finally:
            d = 2
        if sys.version_info >= (3, 11) and not is_torch_available():
            raise RuntimeError
        def f():
            import x
        """
    )
    facts = read_module(source.encode(), functions=True)
    assert from_json(json.loads(json.dumps(to_json(facts)))) == facts
