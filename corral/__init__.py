"""The tool around pyinfra: settings, the stack, releases and the `corral` command."""

from pathlib import Path

# This repository, or the bundle that a host runs.
ROOT = Path(__file__).resolve().parents[1]
