"""The documents that are shipped: inside the package when it was installed, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

import plasmatui

INDEX = "README.md"
TROUBLESHOOTING = "troubleshooting.md"


def docs_dir() -> Path:
    """The directory of the documents (need not exist: a packager may have left them out)."""
    package = Path(plasmatui.__file__).parent
    inside = package / "docs"
    return inside if inside.is_dir() else package.parent / "docs"


def finding_page(finding: str) -> str:
    """Where a finding is explained, as a person would look for it."""
    return f"docs/{TROUBLESHOOTING}#{finding}"
