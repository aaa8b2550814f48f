"""The Vagrantfile and its inventory: valid, in step with each other, and helpful where Vagrant is not."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from corral import vagrant
from corral.errors import CorralError
from corral.settings import ROOT, load

SSH_CONFIG = """
Host db
  HostName 127.0.0.1
  User vagrant
  Port 2222
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  IdentityFile "/home/me/corral/.vagrant/machines/db/virtualbox/private_key"

Host app1
  HostName 127.0.0.1
  User vagrant
  Port 2200
  IdentityFile /home/me/.vagrant/machines/app1/virtualbox/private_key
"""


def test_the_vagrantfile_is_valid(tmp_path):
    assert shutil.which("vagrant"), "make test installs it (requirements/debian-test.txt)"
    run = subprocess.run(
        ["vagrant", "validate", "--ignore-provider"],
        cwd=ROOT,
        env={**os.environ, "VAGRANT_HOME": str(tmp_path), "VAGRANT_DOTFILE_PATH": str(tmp_path / "dot")},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    for name in vagrant.ADDRESSES:
        assert f"==> {name}: " in run.stdout


def test_the_vagrantfile_and_the_inventory_name_the_same_machines():
    machines = re.findall(r'"(\w+)" => "([\d.]+)"', (ROOT / "Vagrantfile").read_text())
    assert dict(machines) == vagrant.ADDRESSES


def test_machines_come_by_role_with_what_differs_from_aws(monkeypatch):
    monkeypatch.setattr(vagrant, "_ssh_config", lambda: SSH_CONFIG)
    monkeypatch.setattr(vagrant, "_archives", lambda: {"release_directory": "/built/1.0"})
    machines = vagrant.machines(load("branch"))
    ((name, app),) = machines["app"]
    ((_, db),) = machines["db"]
    assert name == "app1"
    assert (app["ssh_hostname"], app["ssh_port"], app["ssh_user"]) == ("127.0.0.1", 2200, "vagrant")
    assert db["ssh_key"] == "/home/me/corral/.vagrant/machines/db/virtualbox/private_key"
    assert app["private_address"] == app["domain"] == "192.168.56.11"
    assert app["release_directory"] == "/built/1.0"
    assert "release_directory" not in db
    assert app["database_password_command"] == db["database_password_command"]
    assert app["database"] == {"name": "chat", "user": "chat", "host": "192.168.56.10", "port": 5432}
    assert db["database"] == {"name": "chat", "user": "chat", "version": 17}


def test_the_newest_release_built_here_is_sent(monkeypatch, tmp_path):
    monkeypatch.setattr(vagrant, "STATE", tmp_path)
    monkeypatch.setattr(vagrant.runtimes, "archives", lambda *_: {})
    with pytest.raises(CorralError, match="corral release build"):
        vagrant._archives()
    for age, version in enumerate(["newest", "old", "older"]):
        directory = tmp_path / "releases" / version
        directory.mkdir(parents=True)
        (directory / "manifest.json").touch()
        os.utime(directory / "manifest.json", (1000 - age, 1000 - age))
    assert vagrant._archives()["release_directory"].endswith("/releases/newest")


def test_no_machine_is_a_sentence(monkeypatch):
    monkeypatch.setattr(vagrant, "_ssh_config", lambda: "")
    with pytest.raises(CorralError, match="No machine of the Vagrantfile is up"):
        vagrant.machines(load("branch"))


def test_no_vagrant_is_a_sentence_and_exit_code_1():
    run = subprocess.run(
        [Path(sys.executable).parent / "pyinfra", "inventory/vagrant.py", "debug-inventory"],
        cwd=ROOT,
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "corral: Vagrant is not installed." in run.stderr
    assert "Traceback" not in run.stderr
