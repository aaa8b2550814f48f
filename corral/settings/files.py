"""Reads environment files: TOML, with whatever may be wrong with a file as a sentence."""

import tomllib
from pathlib import Path
from typing import Any

from corral.errors import CorralError
from corral.settings.sentences import SEE


def values(path: Path, shown: str) -> dict[str, Any]:
    """What the file says, unchecked. `shown`: what sentences call the file. Raises CorralError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        remedy = "Make it a file that you may read."
        raise CorralError(f"{shown} cannot be read: {error.strerror}.", remedy, SEE) from None
    except UnicodeDecodeError as error:
        problem = f"{shown} is not UTF-8 text: {error.reason} at byte {error.start}."
        raise CorralError(problem, see=SEE) from None
    except tomllib.TOMLDecodeError as error:
        remedy = "Mend the file there; texts stand in quotes, lists in brackets."
        raise CorralError(f"{shown} is not valid TOML: {error}.", remedy, SEE) from None


def of_branch(said: dict[str, Any], file: str, shown: str, branch: str) -> dict[str, Any]:
    """What is another in the environment of a branch than in the file. Raises CorralError."""
    if "branch_days" not in said:
        remedy = "Use environments/branch.toml, or give the file branch_days."
        raise CorralError(f"No environments of branches are made from {shown}.", remedy, SEE)
    domain = said.get("domain")
    # What is no text is refused as it stands in the file.
    own = {"domain": f"{branch}.{domain}"} if isinstance(domain, str) else {}
    return {"file of branches": file} | own
