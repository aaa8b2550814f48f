"""Writes files that others read at the same time."""

from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new; not at all when nothing changed."""
    if path.exists() and path.read_text() == text:
        return
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    beside.replace(path)
