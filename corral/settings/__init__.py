"""What differs between environments: one TOML file each in `environments/`, checked as a whole when read."""

import os
from pathlib import Path

from corral.errors import CorralError
from corral.settings.model import SEE, Settings

__all__ = ["ENVIRONMENTS", "ROOT", "Settings", "known", "load"]

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / "environments"


def known() -> list[str]:
    """Names of all environments, sorted."""
    return sorted(path.stem for path in ENVIRONMENTS.glob("*.toml"))


def load(name: str | None = None) -> Settings:
    """Settings of environment `name`; without one, of CORRAL_ENV, else of "live". Raises CorralError."""
    chosen = name or os.environ.get("CORRAL_ENV") or "live"
    if chosen not in known():
        origin = "" if name else " (from CORRAL_ENV)" if os.environ.get("CORRAL_ENV") else " (the default)"
        remedy = (
            f"Choose one of: {', '.join(known()) or 'none yet'}; by CORRAL_ENV or -e. Or write that file."
        )
        raise CorralError(f"There is no environments/{chosen}.toml{origin}.", remedy, SEE)
    return Settings.from_toml(ENVIRONMENTS / f"{chosen}.toml")
