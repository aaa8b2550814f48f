"""What a node's tick costs that finds nothing to do, beside `puppet apply` for the same resources.

bench/tick.py [ROUNDS]          needs the lab up (make up); installs Puppet on an app server, and removes it
"""

import os
import re
import subprocess
import sys
from typing import Any

from _lab import LAB, ROOT, members, say, table

from tests.shared.roles import Declared

TICK = "/opt/corral/current/files/node/tick"
CONVERGE = "CORRAL_LOCKED=1 /opt/corral/current/files/node/converge tick"
INSTALL = "apt-get -qq install -y puppet-agent"
PUPPET = "puppet apply --detailed-exitcodes /root/puppet/site.pp"
PACKAGES = re.compile(r"set -- (.*)\n# shellcheck shell=sh\n# Prints those of the packages")


def main() -> None:
    """Measure all three in turns on one app server, and leave it as it was."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    host = members("app")[0].instance_id
    say(f"installing Puppet on {host}")
    on(
        host,
        "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y puppet-agent >/dev/null",
    )
    try:
        on(host, "mkdir -p /root/puppet/files && cat >/root/puppet/site.pp", manifest(host))
        on(host, f"{PUPPET} || [ $? = 2 ]")
        on(host, f"{CONVERGE} >/dev/null 2>&1")
        rows = {"a tick": TICK, "a whole converge": CONVERGE, "puppet apply": PUPPET}
        seconds: dict[str, list[float]] = {name: [] for name in rows}
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for name, command in rows.items():
                seconds[name].append(cpu(host, command))
    finally:
        say("removing Puppet")
        on(host, "apt-get -qq purge -y --autoremove puppet-agent >/dev/null 2>&1; rm -rf /root/puppet")
    aims = {"a tick": 0.15}
    table("Seconds of CPU, with nothing to do", list(seconds.items()), aims, base="puppet apply")


def cpu(host: str, command: str) -> float:
    """Seconds of CPU that a command takes on a host, all of its processes together."""
    said = on(host, f"TIMEFORMAT='%U %S'; time {{ ({command}) >/dev/null 2>&1; }}", shell="bash")
    user, system = said.split()[-2:]
    return float(user) + float(system)


def manifest(host: str) -> str:
    """The same files, packages and running units as corral's, as Puppet would declare them."""
    lines = []
    entries = [entry for group in Declared("app").files.values() for entry in group.values()]
    for entry in entries:
        wanted = {"ensure": entry.kind, "owner": entry.owner, "group": entry.group, "mode": f"0{entry.mode}"}
        match entry.kind:
            case "file":
                on(host, f"install -D -m 600 {entry.path} /root/puppet/files{entry.path}")
                wanted["source"] = f"/root/puppet/files{entry.path}"
            case "link":
                wanted = {"ensure": "link", "target": entry.detail}
            case "absent":
                wanted = {"ensure": "absent"}
        lines.append(resource("file", entry.path, wanted))
    found = PACKAGES.search(on(host, "cat /var/lib/corral/node/questions"))
    if not found:
        sys.exit("bench: the node's questions name no packages; has it converged?")
    lines += [resource("package", name, {"ensure": "installed"}) for name in found[1].split()]
    units = on(host, "jq -r '.units | keys[]' /var/lib/corral/node/report.json").split()
    lines += [resource("service", unit, {"ensure": "running", "enable": True}) for unit in units]
    lines.append(
        resource("user", "app", {"ensure": "present", "home": "/srv/app", "shell": "/usr/sbin/nologin"})
    )
    say(f"the manifest has {len(lines)} resources")
    return "\n".join(lines) + "\n"


def resource(kind: str, name: str, wanted: dict[str, Any]) -> str:
    """One resource of a manifest."""
    said = {key: "true" if value is True else repr(value) for key, value in wanted.items()}
    return f"{kind} {{ {name!r}: {', '.join(f'{key} => {value}' for key, value in said.items())} }}"


def on(host: str, command: str, given: str = "", shell: str = "sh") -> str:
    """Run a command as root on a host; what it said. One that fails ends the measurement."""
    words = [f"{ROOT}/.venv/bin/corral", "lab", "shell", host, "--", shell, "-c", command]
    environment = {**os.environ, "CORRAL_ENV": LAB.environment}
    done = subprocess.run(words, input=given, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nbench: on {host}, this failed: {command}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
