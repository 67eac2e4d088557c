"""The documentation site's files: the repository's own, at their own paths, so that a link is the same in both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

PUBLISHED = (
    "*.md",
    "docs/*.md",
    "docs/*.json",
    "docs/images/*.png",
    "benchmarks/*.json",
    "reports/README.md",
    "reports/reference/*.html",
    "reports/reference/*.json",
    "reports/reference/*/*.html",
    "reports/reference/*/*.json",
)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """The theme's files, and what is published of the repository."""
    root = Path(config.config_file_path).parent
    paths = (path for pattern in PUBLISHED for path in sorted(root.glob(pattern)))
    own = [File.generated(config, str(path.relative_to(root)), abs_src_path=str(path)) for path in paths]
    return Files([*(each for each in files if each.src_dir != config.docs_dir), *own])
