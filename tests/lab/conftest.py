"""The lab tests run on one fleet, made by the user's own command, `make up`, and taken down at the end."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from corral.cloudformation import stacks
from tests.lab.fleet import ROOT, Fleet, run
from tests.lab.visitors import CHROMIUM

STATE = Path("/var/lib/corral-lab")
BRANCH = "lab-branch/feature-x"
# This one wants no lab yet.
FIRST = "test_base_image.py"
# These take the fleet or the lab down on purpose, so they come last, and in this order.
LAST = ("test_deletion.py", "test_teardown.py", "test_faults.py")


def pytest_addoption(parser):
    parser.addoption(
        "--use-running-lab", action="store_true", help="use the lab that is up, and leave it up afterwards"
    )


def pytest_collection_modifyitems(config, items):
    order = {FIRST: -2} | {name: place for place, name in enumerate(LAST)}
    items.sort(key=lambda item: order.get(item.path.name, -1))
    if config.getoption("--use-running-lab"):
        kept = [item for item in items if item.path.name not in order]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.fixture(scope="session")
def no_lab(request):
    """None is up, and we may start one."""
    if os.geteuid() != 0:
        pytest.exit("the lab tests need root: sudo make test", returncode=2)
    if STATE.exists() and not request.config.getoption("--use-running-lab"):
        pytest.exit(
            "the lab is up, and these tests start and stop it: run `make down` first, "
            "or use it with --use-running-lab",
            returncode=2,
        )


@pytest.fixture(scope="session")
def fleet(no_lab, request):
    """The environment `lab`, up and converged: 2 app servers, and one server of each other role."""
    if request.config.getoption("--use-running-lab"):
        yield Fleet()
        return
    # Minutes of work: its progress is shown as it goes, whatever pytest captures.
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        run("make", "up", capture=False)
    yield Fleet()
    run("corral", "lab", "down", capture=False)


@pytest.fixture(scope="session")
def branch(fleet):
    """The environment of the branch Feature/X, from nothing to served; deleted, if no test did that."""
    run("corral", "stack", "apply", "-y", "-e", "lab-branch", "--branch", "Feature/X")
    made = Fleet(BRANCH)
    try:
        release = run("corral", "release", "build", CORRAL_ENV=BRANCH).stdout.strip()
        run("corral", "release", "publish", release, CORRAL_ENV=BRANCH)
        run("corral", "release", "runtimes", "publish", CORRAL_ENV=BRANCH)
        run("corral", "release", "point", Path(release).name, CORRAL_ENV=BRANCH)
        run("corral", "bundle", "publish", "--dirty", "--point", CORRAL_ENV=BRANCH)
        run("corral", "stack", "apply", "-y", CORRAL_ENV=BRANCH)
        run("corral", "lab", "wait", "-e", BRANCH)
        run("corral", "lab", "wait", "-e", BRANCH, "--healthy")
        yield made
    finally:
        # At the end there may be no lab any more: some tests take it down.
        if STATE.exists() and stacks.find(made.settings):
            run("corral", "stack", "delete", "-e", BRANCH, "--yes", made.settings.environment)


@pytest.fixture(scope="module")
def chromium():
    """A browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def left_alone(fleet):
    """The group replaces no app server while a module's tests damage some for longer than it would bear."""
    with fleet.left_alone():
        yield


@pytest.fixture(scope="session")
def root():
    """The checkout's root directory."""
    return ROOT
