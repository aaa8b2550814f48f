"""The templates of all environments, judged by cfn-lint."""

import subprocess
import sys
from pathlib import Path

from corral.settings import ROOT, known

GOLDEN = ROOT / "tests" / "unit" / "golden"


def test_cfn_lint_finds_nothing():
    files = [str(GOLDEN / f"{name}.json") for name in known()]
    lint = subprocess.run([Path(sys.executable).parent / "cfn-lint", *files], capture_output=True, text=True)
    assert (lint.returncode, lint.stdout) == (0, ""), lint.stdout
