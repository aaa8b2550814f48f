"""deploy.py: which role gets what, in which order, and what it says to a host that has no role."""

import json
import os
import re
import subprocess
import sys
from functools import cache

import pytest

from tests.unit.roles import HOST, ROOT, Declared

ROLES = ("app", "db", "elk", "release")
declared = cache(Declared)


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


@pytest.mark.parametrize("role", ROLES)
def test_the_stages_follow_each_other_over_all_tasks(role):
    operations = declared(role).operations
    before = ["Let Postgres's package make no database"] if role == "db" else []
    assert operations[: len(before) + 1] == [*before, "Install packages"]
    configured = [operations.index(name) for name in declared(role).files]
    started = [operations.index(name) for name in ("Run sshd", "Run the firewall")]
    assert max(configured) < min(started)


@pytest.mark.parametrize("role", ROLES)
def test_every_operation_has_a_name_of_its_own_that_a_user_would_say(role):
    operations = declared(role).operations
    assert len(set(operations)) == len(operations)
    unnamed = re.compile(r"^\w+\.\w+$")
    assert not [name for name in operations if unnamed.match(name) or not name[0].isupper()]


@pytest.mark.parametrize("role", ROLES)
def test_no_path_is_declared_by_two_tasks(role):
    paths = [path for entries in declared(role).files.values() for path in entries]
    assert sorted(paths) == sorted(set(paths))


@pytest.mark.parametrize("role", ROLES)
def test_a_converge_needs_few_operations(role):
    # Each is one command when there is nothing to do; `bench/noop` counts them on real hosts.
    assert len(declared(role).operations) <= 28


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


def test_the_volume_is_there_before_the_database_and_the_database_before_its_name():
    operations = declared("db").operations
    order = [
        "Mount the volume of data",
        "Adopt the database, or make one",
        "Configure Postgres",
        "Run Postgres",
        "Register the private name",
    ]
    assert [name for name in operations if name in order] == order


def test_what_started_last_stops_first():
    assert declared("app").drains == ["corral-app.service", "nginx.service"]
    assert declared("db").drains == []


def test_a_machine_outside_of_aws_has_neither_volume_nor_group_nor_zone():
    there = Declared("db", data_volume="", group="", private_zone_id="")
    assert "/srv/data" in there.files["Make the folder of data"]
    words = ("volume", "group's word", "lets the host go", "private name")
    assert not [name for name in there.operations if any(word in name for word in words)]
    assert "corral-data" not in there.text("/etc/systemd/system/postgresql@17-main.service.d/corral.conf")


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
