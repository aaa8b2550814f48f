"""The lab's repository of Elastic's packages, as apt and dpkg see it."""

import os
import subprocess
from pathlib import Path

import pytest

from lab.elastic import packages, repository
from tests.local.elastic_engine import engine_archive


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("r")
    engine_archive(folder / "archives")
    return repository.ensure(folder, lambda _: None)


def command(*words, **more):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def apt(root, tmp_path_factory):
    """Run apt's tools with this repository as their only source, and a host where nothing is installed."""
    folder = tmp_path_factory.mktemp("apt")
    for each in ("state/lists/partial", "cache/archives/partial", "etc"):
        (folder / each).mkdir(parents=True)
    (folder / "status").touch()
    key = root / repository.KEY
    (folder / "etc/sources.list").write_text(
        f"deb [signed-by={key}] file:{root / repository.APT} stable main\n"
    )
    options = {
        "Dir::Etc::sourcelist": folder / "etc/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
    }
    flags = [f"-o{name}={value}" for name, value in options.items()]
    command("apt-get", *flags, "update", "--error-on=any")
    return lambda tool, *words: command(tool, *flags, *words)


def test_apt_trusts_it_and_finds_each_package_at_its_version(root, apt):
    versions = {
        "elasticsearch": "8.19.21",
        "filebeat": "8.19.21",
        "kibana": "8.19.21",
        "logstash": "1:8.19.21-1",
    }
    for name, version in versions.items():
        assert f"Candidate: {version}\n" in apt("apt-cache", "policy", name)
    folder = root / repository.APT / "dists/stable"
    assert (folder / "InRelease").read_text().startswith("-----BEGIN PGP SIGNED MESSAGE-----")


def test_it_is_built_once(root):
    stamp = root.stat().st_mtime_ns
    assert repository.ensure(root.parent, pytest.fail) == root
    assert root.stat().st_mtime_ns == stamp


@pytest.fixture(scope="module")
def unpacked(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    for path in (root / repository.APT).glob("pool/*.deb"):
        command("dpkg-deb", "-x", path, folder)
    return folder


def test_what_runs_on_a_host_is_whole(unpacked):
    """Each program, by nothing but what its package holds and Debian's Python."""
    for name in ("filebeat", "kibana", "logstash"):
        launcher = (unpacked / f"usr/share/{name}/bin/{name}").read_text()
        script = launcher.replace("/usr/share", f"{unpacked}/usr/share")
        said = command("sh", "-c", script, name, "version" if name == "filebeat" else "--version", cwd="/")
        assert "8.19.21" in said


def test_units_and_settings_are_the_vendors(root, unpacked):
    units = sorted(path.name for path in unpacked.glob("usr/lib/systemd/system/*"))
    assert units == ["elasticsearch.service", "filebeat.service", "kibana.service", "logstash.service"]
    for path in (root / repository.APT).glob("pool/*.deb"):
        conffiles = command("dpkg-deb", "--info", path, "conffiles").split()
        assert conffiles and all(Path(f"{unpacked}{each}").is_file() for each in conffiles)
        for each in unpacked.rglob("*"):
            assert each.is_symlink() or oct(each.stat().st_mode)[-3:] in ("755", "644"), each


def test_shellcheck_finds_nothing():
    folder = Path(packages.__file__).parent / "debian"
    scripts = [
        path for path in folder.rglob("*") if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh")
    ]
    assert len(scripts) > 4
    command("shellcheck", *scripts)
