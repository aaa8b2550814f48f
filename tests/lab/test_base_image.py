"""A base image that was cut off is built anew. The first test, for every host starts from what it leaves."""

import subprocess

import pytest

from lab import mounts
from lab.paths import IMAGES
from tests.lab.fleet import BIN, ROOT, run, wait_for


@pytest.fixture
def none_yet(no_lab):
    """No image was ever built here."""
    for image in IMAGES.glob("*"):
        mounts.remove_tree(image)


def names():
    """Of what is there of images."""
    return [path.name for path in IMAGES.glob("*")]


def installed(image):
    """{package: its state} in an image, as dpkg there has it."""
    query = [
        "dpkg-query",
        f"--admindir={image}/var/lib/dpkg",
        "--show",
        "--showformat=${Package} ${Status}\\n",
    ]
    shown = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in shown.splitlines())


def test_one_that_was_cut_off_is_built_anew(none_yet):
    up = subprocess.Popen([BIN / "corral", "lab", "up"], cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_for("half an image", lambda: up.poll() is not None or [*IMAGES.glob("*.partial/usr/bin/bash")], 300)
    up.kill()
    assert up.wait() == -9
    (half,) = names()
    assert half.endswith(".partial")
    run("corral", "lab", "up")
    try:
        (whole,) = names()
        packages = installed(IMAGES / whole)
    finally:
        run("corral", "lab", "down")
    assert half == f"{whole}.partial"
    assert len(packages) > 100
    assert set(packages.values()) == {"install ok installed"}
    recipe = (ROOT / "lab/base_image/packages.txt").read_text().splitlines()
    assert {line for line in recipe if line[:1] != "#"} - set(packages) == set()
