"""deploy.py as pyinfra runs it: what roles share, and what it says to a host that has none."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.shared.roles import HOST, ROLES, ROOT


@pytest.fixture
def pyinfra(tmp_path):
    """Runs pyinfra on an inventory of the given groups of hosts that nobody needs to have."""

    def run(groups, *options):
        inventory = tmp_path / "fleet.py"
        inventory.write_text("\n".join(f"{name} = {hosts!r}" for name, hosts in groups.items()))
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "pyinfra",
                "--group-data",
                "inventory/group_data",
                inventory,
                "deploy.py",
                *options,
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "CORRAL_ENV": "lab", "PYTHONPATH": str(ROOT)},
        )

    return run


def test_roles_share_their_operations_and_keep_the_others_apart(pyinfra):
    fleet = {role: [(f"@fake/{role}", HOST)] for role in ROLES}
    done = pyinfra(fleet, "--dry", "--json")
    assert done.returncode == 0, done.stderr
    hosts = {
        operation["name"]: set(operation["hosts_with_change"])
        for operation in json.loads(done.stdout)["plan"]
    }
    assert list(hosts) == list(dict.fromkeys(hosts))
    for everywhere in ("Harden sshd", "Wait for the group's word to leave"):
        assert hosts[everywhere] == {f"@fake/{role}" for role in ROLES}
    assert hosts["Mount the volume of data"] == {"@fake/db", "@fake/elk", "@fake/release"}
    assert hosts["Configure nginx"] == {"@fake/app"}
    assert hosts["Configure Postgres"] == {"@fake/db"}


@pytest.mark.parametrize(
    ("groups", "options", "said"),
    [
        (
            {"others": ["@fake/one"]},
            [],
            r"@fake/one has no role\. Put it into a group .* one of: app, db, elk, release",
        ),
        (
            {"others": ["@fake/one"]},
            ["--data", "role=elks"],
            r"@fake/one has the role 'elks', which is unknown",
        ),
    ],
)
def test_a_host_without_a_known_role_is_refused_in_a_sentence(pyinfra, groups, options, said):
    done = pyinfra(groups, "-y", *options)
    assert done.returncode != 0
    assert re.search(said, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
