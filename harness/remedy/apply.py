"""Writing a remedy into the matrix, with everything that stands there left as it is."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from harness.core.files import read_text, write_atomically
from harness.matrix import Launch, parse_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from harness.remedy.trial import Step


def apply_remedy(matrix_file: Path, step: Step) -> None:
    """Add the repaired combination to the matrix's ``include``; comments and layout stay.

    Raises:
        MatrixError: the matrix would not be valid with it; the file is as it was.
        OSError: it cannot be written.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(read_text(matrix_file))
    if document.get("include") is None:
        document["include"] = CommentedSeq()
    document["include"].append(_entry(step))
    text = StringIO()
    yaml.dump(document, text)
    parse_matrix(text.getvalue().encode(), matrix_file.name)
    write_atomically(matrix_file, text.getvalue())


def _entry(step: Step) -> CommentedMap:
    changed = step.proposal.combination
    entry = CommentedMap()
    entry["python"] = changed.python
    entry["lmdeploy"] = changed.lmdeploy
    entry["transformers"] = step.record.stack.get("transformers", changed.transformers)
    entry["backend"] = str(changed.backend)
    entry["model"] = changed.model
    if changed.as_of is not None:
        entry["as_of"] = changed.as_of
    if changed.launch is not Launch.LIBRARY:
        entry["launch"] = str(changed.launch)
    entry["tags"] = ["remedy"]
    entry["note"] = f"{changed.note}: {step.proposal.change}. Verified {step.record.finished:%Y-%m-%d}."
    return entry
