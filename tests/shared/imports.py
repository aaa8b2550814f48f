"""Which modules a module imports, for the tests of who may import what."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def imported_by(path: str) -> set[str]:
    """Every module that the module at `path` of the repository imports, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(name: str, *packages: str) -> bool:
    """Whether module `name` is one of the packages, or in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)
