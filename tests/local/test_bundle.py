"""What is in a bundle, and that the same commit gives the same bytes."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from corral import worktree
from corral.bundle import source, wheels
from corral.bundle.build import Manifest, build, read
from corral.errors import CorralError
from corral.releases.archive import sha256
from corral.settings import ROOT
from tests.local.bundles import built, cache, checkout, index, only_this_index  # noqa: F401
from tests.local.small_app import git
from tests.shared.imports import imported_by, within

INSIDE = {
    "bundle.json",
    "deploy.py",
    "inventory/node.py",
    "inventory/aws.py",
    "inventory/group_data/all.py",
    "inventory/group_data/aws.py",
    "environments/lab.toml",
    "tasks/nginx.py",
    "templates/nginx/a name.j2",
    "files/host/aws",
    "corral/__init__.py",
    "corral/aws.py",
    "corral-1.2.dist-info/METADATA",
    "corral-1.2.dist-info/entry_points.txt",
    "corral/node/identity.py",
    "corral/settings/model.py",
    "lib/any/pure/__init__.py",
    *(f"lib/any/pure-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")),
    *(
        f"lib/{architecture}/{name}"
        for architecture in wheels.ARCHITECTURES
        for name in (
            "native/core.so",
            "native/moved.py",
            *(f"native-2.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")),
        )
    ),
}


def contents(path):
    """Every file in a bundle, with its mode, time, owner and content."""
    with tarfile.open(path) as tar:
        return {
            member.name: (member.mode, member.mtime, member.uid, tar.extractfile(member).read())
            for member in tar
            if not member.isdir()
        }


def test_a_bundle_is_all_that_a_node_needs_and_nothing_else(built, checkout):
    one = built()
    inside = contents(one.path)
    assert set(inside) == INSIDE
    assert one.path.name == f"{sha256(one.path)}.tar.gz"
    assert {name for name, (mode, *_) in inside.items() if mode == 0o755} == {"files/host/aws"}
    assert {(time, owner) for _, time, owner, _ in inside.values()} == {(0, 0)}
    for architecture in wheels.ARCHITECTURES:
        assert inside[f"lib/{architecture}/native/core.so"][-1].decode() == f"machine code of {architecture}"
    assert json.loads(inside["bundle.json"][-1]) == {
        "format": 1,
        "commit": git(checkout, "rev-parse", "HEAD"),
        "dirty": False,
        "python": "3.13",
        "architectures": ["aarch64", "x86_64"],
    }


def test_a_bundle_knows_the_commands_that_are_in_it(built):
    inside = contents(built().path)
    said = {
        name: inside[f"corral-1.2.dist-info/{name}"][-1].decode() for name in ("METADATA", "entry_points.txt")
    }
    assert said == {
        "METADATA": "Metadata-Version: 2.1\nName: corral\nVersion: 1.2\n",
        "entry_points.txt": "[corral.commands]\nstatus = corral.cli.status:status\n",
    }


SHIPPED = [name for name in worktree.files(ROOT, *source.SHIPPED) if name.endswith(".py")]
OF_NODES = set(worktree.files(ROOT, *source.OF_NODES))


@pytest.mark.parametrize("path", SHIPPED)
def test_what_ships_imports_what_ships_and_what_the_lock_names(path):
    """Else a node, or a release server, would find out when it is too late."""
    lock = source.LOCK if path in OF_NODES else "requirements/run.txt"
    pins = re.findall(r"^([\w.-]+)==", (ROOT / lock).read_text(), re.MULTILINE)
    locked = {pin.replace("-", "_") for pin in pins}
    ours = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in SHIPPED}
    packages = {name.rpartition(".")[0] for name in ours}
    for name in imported_by(ROOT / path):
        top = name.partition(".")[0]
        if within(name, "corral", "tasks"):
            assert name in ours | packages or name.rpartition(".")[0] in ours, name
        else:
            # _typeshed is there for who checks types alone.
            assert top in sys.stdlib_module_names | {"_typeshed"} or top in locked, name


def test_the_lock_of_nodes_agrees_with_that_of_operators():
    """Push and pull run the same code with the same packages."""
    pins = {
        lock: set(re.findall(r"^[\w.-]+==\S+", (ROOT / f"requirements/{lock}.txt").read_text(), re.MULTILINE))
        for lock in ("node", "run")
    }
    assert pins["node"] < pins["run"]


# One that was built before


def test_a_bundle_is_read_as_it_was_built(built, tmp_path):
    one = built()
    assert read(one.path) == one
    other = shutil.copy(one.path, tmp_path / "under another name")
    assert read(other) == replace(one, path=other)


def without_manifest(path):
    with tarfile.open(path, "w:gz") as tar:
        tar.add(__file__, "deploy.py")


def of_the_future(path):
    (path.parent / "bundle.json").write_text(json.dumps(asdict(Manifest(2, "", False, "3.13", ()))))
    with tarfile.open(path, "w:gz") as tar:
        tar.add(path.parent / "bundle.json", "bundle.json")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (Path.unlink, "can't be read: No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "is no bundle"),
        (lambda path: path.write_text("no archive at all"), "is no bundle"),
        (without_manifest, "is no bundle"),
        (of_the_future, "is a bundle of format 2, not 1"),
    ],
)
def test_what_is_no_bundle_is_refused_in_a_sentence(built, tmp_path, damage, problem):
    path = Path(shutil.copy(built().path, tmp_path / "it"))
    damage(path)
    with pytest.raises(CorralError, match=f"it {problem}"):
        read(path)


# The same commit gives the same bytes


BUILD = """
import os, sys
from pathlib import Path
from corral.bundle.build import build
os.umask(int(sys.argv[4], 8))
print(build(*map(Path, sys.argv[1:4])).digest)
"""


def test_two_machines_build_the_same_bytes_of_one_commit(checkout, tmp_path, index):
    digests = set()
    for name, umask, zone, locale in [
        ("one", "077", "Pacific/Kiritimati", "C"),
        ("another/much/deeper", "002", "America/New_York", "tr_TR.UTF-8"),
    ]:
        place = tmp_path / name
        place.mkdir(parents=True)
        subprocess.run(["sh", "-c", f"umask {umask}; git clone -q '{checkout}' '{place}/c'"], check=True)
        for path in (place / "c").rglob("*"):
            os.utime(path, (len(name) * 1e8, len(name) * 1e8), follow_symlinks=False)
        done = subprocess.run(
            [sys.executable, "-c", BUILD, place / "c", place / "out", place / "wheels", umask],
            env={
                **os.environ,
                "TZ": zone,
                "LC_ALL": locale,
                "PYTHONPATH": str(ROOT),
                "PYTHONHASHSEED": umask,
            },
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_another_commit_gives_another_bundle(built, checkout):
    first = built()
    assert built().digest == first.digest
    (checkout / "docs/boot.md").write_text("# Another\n")
    git(checkout, "commit", "-q", "-am", "Two")
    assert built().digest != first.digest
    assert first.path.exists()


def test_a_working_tree_with_changes_is_refused_or_marked(built, checkout):
    clean = built()
    (checkout / "docs/boot.md").write_text("Not in a bundle.\n")
    (checkout / "inventory/vagrant.py").write_text("Neither.\n")
    (checkout / "tasks/nginx.pyc").write_text("Ignored.\n")
    assert built(dirty=True) == clean
    (checkout / "tasks/nginx.py").write_text("PACKAGES = ['nginx']\n")
    (checkout / "tasks/new.py").write_text("x = 1\n")
    with pytest.raises(CorralError, match=r"differs from commit \w{10}: ") as caught:
        built()
    assert caught.value.problem.endswith(": tasks/nginx.py, tasks/new.py.")
    assert "--dirty" in caught.value.remedy
    marked = built(dirty=True)
    assert marked.manifest == Manifest(1, clean.manifest.commit, True, "3.13", ("aarch64", "x86_64"))
    inside = contents(marked.path)
    assert json.loads(inside["bundle.json"][-1])["dirty"] is True
    assert inside["tasks/nginx.py"][-1] == b"PACKAGES = ['nginx']\n"
    assert set(inside) == INSIDE | {"tasks/new.py"}
    (checkout / "tasks/nginx.py").unlink()
    assert set(contents(built(dirty=True).path)) == (INSIDE | {"tasks/new.py"}) - {"tasks/nginx.py"}


def test_a_lock_or_a_builder_with_changes_counts_too(built, checkout):
    for name in (source.LOCK, source.PROJECT, "corral/bundle/build.py", "corral/worktree.py"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        with (checkout / name).open("a") as file:
            file.write("\n")
        with pytest.raises(CorralError, match="differs from commit"):
            built()
        git(checkout, "add", ".")
        git(checkout, "commit", "-q", "-m", "More")


def test_what_has_no_commit_is_a_sentence(checkout, tmp_path, cache):
    shutil.rmtree(checkout / ".git")
    with pytest.raises(CorralError, match="not a git repository"):
        build(checkout, tmp_path / "out", cache)
    git(checkout, "init", "-q")
    with pytest.raises(CorralError, match="git says about"):
        build(checkout, tmp_path / "out", cache)


def test_the_last_few_are_kept(built, checkout, tmp_path):
    for number in range(7):
        (checkout / "deploy.py").write_text(f"ROLES = {number}\n")
        newest = built(dirty=True)
    kept = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(kept) == 5 + len([".lock"])
    assert newest.path.name in kept
