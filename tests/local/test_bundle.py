"""Bundles: what is in one, that the same commit gives the same bytes, how it is kept and pointed to."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from corral import aws, worktree
from corral.bundle import source, store, wheels
from corral.bundle.build import Built, Manifest, build, read
from corral.cli import bundle as cli
from corral.cli import corral as command
from corral.errors import CorralError
from corral.releases import pointers
from corral.releases.archive import sha256
from corral.releases.bucket import Bucket
from corral.settings import ROOT
from tests.local.test_releases import git
from tests.shared.imports import imported_by, within

FILES = {
    "deploy.py": "ROLES = {}\n",
    "inventory/node.py": "app = ['@local']\n",
    "inventory/aws.py": "import boto3\n",
    "inventory/vagrant.py": "import paramiko\n",
    "inventory/group_data/all.py": "x = 1\n",
    "inventory/group_data/aws.py": "_sudo = True\n",
    "environments/lab.toml": "region = 'eu-west-1'\n",
    "tasks/nginx.py": "PACKAGES = []\n",
    "templates/nginx/a name.j2": "{{ x }}\n",
    "files/host/aws": "#!/bin/sh\n",
    "corral/__init__.py": "",
    "corral/aws.py": "import boto3\n",
    "corral/node/identity.py": "ROLE = 1\n",
    "corral/settings/model.py": "KEYS = 1\n",
    "lab/cli.py": "import moto\n",
    "docs/boot.md": "# Boot\n",
    "pyproject.toml": (
        '[project]\nname = "corral"\nversion = "1.2"\n'
        '[project.entry-points."corral.commands"]\n'
        'status = "corral.cli.status:status"\nlab = "lab.cli:lab"\n'
    ),
    ".gitignore": "/.corral/\n*.pyc\n",
}
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


def make_wheel(place, name, version, tag, files, needs=()):
    """A wheel (PEP 427) of a few files."""
    path = place / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
    with zipfile.ZipFile(path, "w") as made:
        for file, text in files.items():
            made.writestr(file, text)
        made.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
        )
        made.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        made.writestr(f"{info}/RECORD", "")
    return path


def make_lock(lock, *found):
    """A lock, as pip-compile writes it, that takes just these wheels."""
    hashes = {}
    for path in found:
        hashes.setdefault("==".join(path.name.split("-")[:2]), []).append(sha256(path))
    pins = [[pin, *(f"--hash=sha256:{one}" for one in each)] for pin, each in hashes.items()]
    lock.write_text("".join(" \\\n    ".join(pin) + "\n" for pin in pins))


@pytest.fixture(scope="session")
def index(tmp_path_factory):
    """A directory of wheels: a pure package, and one that is compiled for each architecture."""
    place = tmp_path_factory.mktemp("index")
    make_wheel(place, "pure", "1.0", "py3-none-any", {"pure/__init__.py": "x = 1\n"}, ["native>=1"])
    for architecture in wheels.ARCHITECTURES:
        native = {
            "native/core.so": f"machine code of {architecture}",
            "native-2.0.data/platlib/native/moved.py": "y = 2\n",
            "native-2.0.data/scripts/native": "#!python\n",
            "native-2.0.data/headers/native.h": "int x;\n",
        }
        make_wheel(place, "native", "2.0", f"cp313-cp313-manylinux_2_28_{architecture}", native)
    make_wheel(place, "native", "2.0", "cp311-cp311-manylinux_2_28_x86_64", {"native/core.so": "of another"})
    return place


@pytest.fixture(autouse=True)
def only_this_index(index, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("wheels")


@pytest.fixture
def checkout(tmp_path, index):
    root = tmp_path / "checkout"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "files/host/aws").chmod(0o755)
    (root / "requirements").mkdir()
    make_lock(root / source.LOCK, *sorted(index.glob("*.whl")))
    git(tmp_path, "init", "-q", str(root))
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "One")
    return root


@pytest.fixture
def built(checkout, tmp_path, cache):
    """Builds the bundle of the checkout."""
    return lambda **options: build(checkout, tmp_path / "out", cache, **options)


def contents(path):
    """Every file in a bundle, with its mode, time, owner and content."""
    with tarfile.open(path) as tar:
        return {
            member.name: (member.mode, member.mtime, member.uid, tar.extractfile(member).read())
            for member in tar
            if not member.isdir()
        }


# What is in a bundle


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


# Its packages


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


# In S3


@pytest.fixture
def bucket(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        s3 = boto3.client("s3", region_name="eu-west-1")
        where = {"LocationConstraint": "eu-west-1"}
        s3.create_bucket(Bucket="chat-test-releases", CreateBucketConfiguration=where)
        yield Bucket(s3, "chat-test-releases", "test")


@pytest.fixture
def made(tmp_path):
    """Makes something that is published as a bundle is."""

    def make(text, commit="c" * 40, dirty=False):
        path = tmp_path / text
        path.write_text(text)
        digest = sha256(path)
        return Built(path, digest, len(text), Manifest(1, commit, dirty, "3.13", wheels.ARCHITECTURES))

    return make


def test_a_bundle_is_published_once_and_found_again(bucket, made):
    one = made("one", "1" * 40, dirty=True)
    assert store.publish(bucket, one) is True
    assert store.publish(bucket, one) is False
    assert bucket.read(f"bundles/{one.digest}.tar.gz")[0] == b"one"
    found = store.find(bucket, one.digest[:8])
    assert (found.digest, found.commit, found.dirty, found.size) == (one.digest, "1" * 40, True, 3)
    with pytest.raises(CorralError, match="There is no bundle abcdef0"):
        store.find(bucket, "abcdef0")
    for digest in ("../x", "abc", ""):
        with pytest.raises(CorralError, match="is no digest of a bundle"):
            store.find(bucket, digest)


def test_a_listing_begins_with_the_newest_and_knows_how_many_there_are(bucket, monkeypatch):
    objects = [
        {
            "Key": f"bundles/{number:064x}.tar.gz",
            "LastModified": datetime(2026, 3, day, tzinfo=UTC),
            "Size": 7,
        }
        for number, day in [(1, 4), (2, 6), (3, 5)]
    ]
    strangers = [{"Key": "bundles/notes.txt", "LastModified": datetime(2026, 4, 1, tzinfo=UTC), "Size": 1}]
    monkeypatch.setattr(Bucket, "objects", lambda *_: iter([*objects, *strangers]))
    found, count = store.published(bucket, 2)
    assert ([int(one.digest, 16) for one in found], count) == ([2, 3], 3)


def test_a_beginning_that_two_bundles_have_is_refused(bucket):
    for end in "01":
        bucket.put(f"bundles/{'ab' * 31 + 'a' + end}.tar.gz", b"")
    with pytest.raises(CorralError, match=r"2 bundles in .* begins with ababab"):
        store.find(bucket, "ababab")


def test_the_pointer_tells_a_node_what_to_fetch_and_a_person_what_was_before(bucket, made):
    one, two = made("one", "1" * 40), made("two", "2" * 40, dirty=True)
    for each in (one, two):
        store.publish(bucket, each)
    assert store.pointer(bucket) is None
    first, moved = store.point(bucket, one.digest, "ada@desk")
    assert (first.previous, moved) == (None, True)
    assert store.point(bucket, one.digest[:10], "bob@desk") == (first, False)
    store.point(bucket, two.digest, "bob@desk")
    said = json.loads(bucket.read("environments/test/bundle.json")[0])
    assert re.fullmatch(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", said.pop("at"))
    assert said == {
        "digest": two.digest,
        "key": f"bundles/{two.digest}.tar.gz",
        "commit": "2" * 40,
        "dirty": True,
        "previous": one.digest,
        "by": "bob@desk",
    }


def test_nobody_points_to_what_is_not_there_or_not_what_its_name_says(bucket, made):
    with pytest.raises(CorralError, match="There is no bundle"):
        store.point(bucket, "0" * 64, "me")
    bucket.put(f"bundles/{'0' * 64}.tar.gz", b"something else", ChecksumAlgorithm="SHA256")
    with pytest.raises(CorralError, match="is damaged"):
        store.point(bucket, "0" * 64, "me")
    assert store.pointer(bucket) is None


def test_two_who_point_at_the_same_moment_do_not_overwrite_each_other(bucket, made, monkeypatch):
    for text in ("one", "two"):
        store.publish(bucket, made(text))
    read = pointers.read

    def raced(*words):
        seen = read(*words)
        monkeypatch.setattr(pointers, "read", read)
        store.point(bucket, made("one").digest, "the faster one")
        return seen

    monkeypatch.setattr(pointers, "read", raced)
    with pytest.raises(CorralError, match="at the same moment") as caught:
        store.point(bucket, made("two").digest, "the slower one")
    assert "corral bundle list -e test" in caught.value.remedy
    assert store.pointer(bucket).by == "the faster one"


# The command


@pytest.fixture
def run(settings, checkout, cache, tmp_path, monkeypatch):
    """`corral bundle …` in an environment of moto's server; its output, or the CorralError it raised."""
    monkeypatch.setattr("corral.settings.load", lambda _: settings)
    monkeypatch.setattr(cli, "ROOT", checkout)
    monkeypatch.setattr(cli, "BUILT", tmp_path / "out")
    monkeypatch.setattr(cli, "WHEELS", cache)

    def invoke(*words):
        done = CliRunner().invoke(command, ["bundle", *words, "-e", "test"])
        if isinstance(done.exception, CorralError):
            return done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return invoke


def test_from_a_commit_to_the_bundle_that_nodes_run(run, settings, checkout, tmp_path):
    assert "There is no bucket" in run("list").problem
    aws.client(settings, "s3").create_bucket(
        Bucket=settings.releases_bucket, CreateBucketConfiguration={"LocationConstraint": settings.region}
    )
    assert run("list").startswith("No bundle is in chat-test-releases-123456789012 yet.")
    path = run("build").strip()
    digest = Path(path).name.removesuffix(".tar.gz")
    assert json.loads(run("build", "--json"))["digest"] == digest == sha256(Path(path))
    assert run("publish") == f"Bundle {digest} is published in chat-test-releases-123456789012.\n"
    assert "was published in" in run("publish")
    assert run("point", digest[:8]) == f"Nodes of test run {digest[:12]} from now on.\n"
    assert f"run {digest[:12]} already, since" in run("point", digest)
    assert "corral bundle list -e test" in run("point", "ffffff").remedy

    (checkout / "deploy.py").write_text("ROLES = 'others'\n")
    assert "differs from commit" in run("publish").problem
    answer = json.loads(run("publish", "--dirty", "--point", "--json"))
    assert (answer["added"], answer["manifest"]["dirty"]) == (True, True)
    assert answer["pointer"]["previous"] == digest
    listed = json.loads(run("list", "--json"))
    assert {one["digest"]: (one["dirty"], one["current"]) for one in listed} == {
        answer["digest"]: (True, True),
        digest: (False, False),
    }
    commit = git(checkout, "rev-parse", "HEAD")[:10]
    shown = run("list")
    assert re.search(rf"^ *{answer['digest'][:12]} +{commit} dirty .* current, by ", shown, re.MULTILINE)
    assert re.search(rf"^ *{digest[:12]} +{commit} +2.* previous *$", shown, re.MULTILINE)
    assert json.loads(run("point", digest, "--json"))["digest"] == digest


def test_a_long_list_shows_the_newest_and_says_that_there_are_more(run, settings, monkeypatch):
    s3 = aws.client(settings, "s3")
    s3.create_bucket(
        Bucket=settings.releases_bucket, CreateBucketConfiguration={"LocationConstraint": settings.region}
    )
    for number in range(3):
        s3.put_object(Bucket=settings.releases_bucket, Key=f"bundles/{number:064x}.tar.gz", Body=b"")
    monkeypatch.setattr(cli, "NEWEST", 2)
    assert run("list").rstrip().endswith("And 1 older ones: corral bundle list --all")
    assert len(json.loads(run("list", "--json"))) == 2
    assert len(json.loads(run("list", "--json", "--all"))) == 3


def test_a_place_that_can_not_be_written_is_a_sentence(run, checkout, monkeypatch):
    monkeypatch.setattr(cli, "BUILT", checkout / "deploy.py/under")
    assert "Not a directory" in run("build").problem
