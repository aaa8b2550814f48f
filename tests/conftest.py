"""Tests run side by side, as many as the machine can, but for those on the lab: there is one lab."""

import os
from pathlib import Path

SIDE_BY_SIDE = {Path(__file__).with_name(name) for name in ("unit", "local")}


def pytest_xdist_auto_num_workers(config):
    """How many workers `-n auto` means, which pyproject.toml asks for; 0: none, all in this process.

    Only for whole folders, since a few tests are through before workers have started. Two more than there
    are cores, for there are always some that wait.
    """
    asked = {Path(config.invocation_params.dir, word).resolve() for word in config.args}
    return len(os.sched_getaffinity(0)) + 2 if asked <= SIDE_BY_SIDE else 0
