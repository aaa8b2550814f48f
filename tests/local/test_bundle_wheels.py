"""The packages in a bundle: fetched once, by their hashes, for every architecture."""

import os
import re
import shutil

import pytest

from corral.bundle import source, wheels
from corral.errors import CorralError
from corral.releases.archive import sha256
from tests.local.bundles import cache, checkout, index, make_lock, only_this_index  # noqa: F401


def test_wheels_are_fetched_once(checkout, cache, monkeypatch, tmp_path):
    first = wheels.fetch(checkout / source.LOCK, cache)
    assert [path.name for path in first] == [
        "native-2.0-cp313-cp313-manylinux_2_28_aarch64.whl",
        "native-2.0-cp313-cp313-manylinux_2_28_x86_64.whl",
        "pure-1.0-py3-none-any.whl",
    ]
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    assert wheels.fetch(checkout / source.LOCK, cache) == first


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"else")])
def test_wheels_that_were_lost_or_damaged_are_fetched_again(checkout, tmp_path, cache, damage):
    sums = [sha256(path) for path in wheels.fetch(checkout / source.LOCK, cache)]
    shutil.copytree(cache, tmp_path / "own")
    damage(next((tmp_path / "own").glob("*/native*_aarch64.whl")))
    assert [sha256(path) for path in wheels.fetch(checkout / source.LOCK, tmp_path / "own")] == sums


def test_wheels_of_old_locks_go(checkout, tmp_path):
    for age in range(wheels.KEPT + 1):
        (tmp_path / "own" / f"{age}").mkdir(parents=True)
        os.utime(tmp_path / "own" / f"{age}", (1000 - age, 1000 - age))
    newest = wheels.fetch(checkout / source.LOCK, tmp_path / "own")[0].parent
    places = {path.name for path in (tmp_path / "own").iterdir() if path.is_dir()}
    assert places == {newest.name, *(f"{age}" for age in range(wheels.KEPT - 1))}


def test_a_package_with_another_hash_is_refused(checkout, tmp_path):
    lock = checkout / source.LOCK
    lock.write_text(re.sub("sha256:.{8}", "sha256:00000000", lock.read_text()))
    with pytest.raises(CorralError, match="pip could not fetch the packages for aarch64") as caught:
        wheels.fetch(lock, tmp_path / "own")
    assert "HASHES" in caught.value.problem or "hash" in caught.value.problem
    assert list((tmp_path / "own").glob("*/*.whl")) == []


def test_a_package_without_a_wheel_for_an_architecture_is_refused(tmp_path, index):
    kept = tmp_path / "index"
    kept.mkdir()
    found = [path for path in index.iterdir() if "aarch64" not in path.name]
    make_lock(tmp_path / "lock.txt", *found)
    with pytest.raises(CorralError, match=r"for aarch64; its last lines:[\s\S]*native"):
        wheels.fetch(tmp_path / "lock.txt", tmp_path / "own")


def test_a_lock_that_leaves_out_what_a_package_needs_is_refused(tmp_path, index):
    make_lock(tmp_path / "lock.txt", index / "pure-1.0-py3-none-any.whl")
    with pytest.raises(CorralError, match="native"):
        wheels.fetch(tmp_path / "lock.txt", tmp_path / "own")
