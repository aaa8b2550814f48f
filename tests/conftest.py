"""Unit tests run side by side, as many as the machine can; tests on the lab never do: there is one lab."""

import os
from pathlib import Path

UNIT = Path(__file__).with_name("unit")


def pytest_xdist_auto_num_workers(config):
    """How many workers `-n auto` means, which pyproject.toml asks for; 0: none, all in this process.

    Only for all unit tests, since a few are through before workers have started. One more than there are
    cores, for there is always one that waits.
    """
    asked = [Path(config.invocation_params.dir, word).resolve() for word in config.args]
    return len(os.sched_getaffinity(0)) + 1 if asked == [UNIT] else 0
