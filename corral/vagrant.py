"""The machines that Vagrant runs, as pyinfra wants hosts: where each is, and how it differs from AWS."""

import platform
import subprocess
from pathlib import Path
from typing import Any

import paramiko

from corral import runtimes
from corral.errors import CorralError
from corral.settings import ROOT, STATE, Settings

SEE = "docs/vagrant.md"
# As in the Vagrantfile; VirtualBox allows this network without being asked ("Host-only networking").
NETWORK = "192.168.56.0/24"
ADDRESSES = {"db": "192.168.56.10", "app1": "192.168.56.11", "app2": "192.168.56.12"}
# From where Vagrant's own SSH comes: VirtualBox's NAT, libvirt's management network, the private network.
OPERATORS = ["10.0.2.2/32", "192.168.121.1/32", "192.168.56.1/32"]

Machine = tuple[str, dict[str, Any]]


def machines(settings: Settings) -> dict[str, list[Machine]]:
    """The running machines by role, as (name, data). Raises CorralError when there are none."""
    found: dict[str, list[Machine]] = {}
    own = {"app": _archives, "db": dict}
    for name, ssh in parse(_ssh_config()).items():
        role = name.rstrip("0123456789")
        data = {**_ssh_data(ssh), **_data(settings, name, role), **own[role]()}
        found.setdefault(role, []).append((name, data))
    if not found:
        raise CorralError("No machine of the Vagrantfile is up.", "Start them: vagrant up", SEE)
    return found


def parse(ssh_config: str) -> dict[str, dict[str, Any]]:
    """The options of each host in what `vagrant ssh-config` prints, by the machine's name."""
    config = paramiko.SSHConfig.from_text(ssh_config)
    return {name: config.lookup(name) for name in sorted(config.get_hostnames()) if name in ADDRESSES}


def _ssh_config() -> str:
    try:
        # It prints what runs, and fails when some machine of the Vagrantfile does not.
        run = subprocess.run(["vagrant", "ssh-config"], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        problem = "Vagrant is not installed."
        raise CorralError(problem, "Install it: apt-get install vagrant, or vagrantup.com", SEE) from None
    if run.returncode and not run.stdout.strip():
        reason = run.stderr.strip().replace("\n", " ")
        raise CorralError(f"vagrant ssh-config fails: {reason}", "Start the machines: vagrant up", SEE)
    return run.stdout


def _ssh_data(ssh: dict[str, Any]) -> dict[str, Any]:
    return {
        "ssh_hostname": ssh["hostname"],
        "ssh_port": int(ssh.get("port", 22)),
        "ssh_user": ssh["user"],
        "ssh_key": ssh["identityfile"][0],
        # A machine made anew has a new key at the same port of this one, which nobody else can take.
        "ssh_known_hosts_file": "/dev/null",
    }


def _archives() -> dict[str, str]:
    """Folders of this machine with what hosts on AWS fetch from S3: the newest release, Node and PM2."""
    built = [path.parent for path in STATE.glob("releases/*/manifest.json")]
    if not built:
        problem = "No release of the application is built, which the app servers could run."
        raise CorralError(problem, "Build one: .venv/bin/corral release build", SEE)
    arch = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x64")
    runtimes.archives(ROOT / "files" / "process_manager", STATE / "runtimes", arch)
    newest = max(built, key=lambda path: Path(path, "manifest.json").stat().st_mtime)
    return {"release_directory": str(newest), "runtimes_directory": str(STATE / "runtimes")}


def _data(settings: Settings, name: str, role: str) -> dict[str, Any]:
    """What the roles' group data says of AWS, as it is here: one flat network, no zones, no names."""
    database = {"name": settings.db.database, "user": settings.db.user}
    own: dict[str, dict[str, Any]] = {
        "app": {"host": ADDRESSES["db"], "port": 5432},
        "db": {"version": settings.db.version},
    }
    return {
        "instance_id": name,
        "private_address": ADDRESSES[name],
        "zone": "vagrant",
        "group": "",
        "private_zone_id": "",
        "data_volume": "",
        # Browsers ask for the machine by its address.
        "domain": ADDRESSES[name],
        # Nobody but this machine reaches these, and there is no store of secrets here.
        "database_password_command": "echo for-machines-of-a-developer-only",
        "environment": "vagrant",
        "balancer_cidrs": [NETWORK],
        "app_cidrs": [NETWORK],
        "release_cidrs": [],
        "ssh_cidrs": OPERATORS,
        "database": {**database, **own[role]},
    }
