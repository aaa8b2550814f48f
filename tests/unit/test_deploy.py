"""deploy.py: which role gets what, and in which order."""

import re
from functools import cache

import pytest

from tests.shared.roles import ROLES, Declared

declared = cache(Declared)


@pytest.mark.parametrize("role", ROLES)
def test_the_stages_follow_each_other_over_all_tasks(role):
    operations = declared(role).operations
    before = ["Trust Elastic's packages, in one version"]
    before += ["Let Postgres's package make no database"] if role in ("db", "release") else []
    assert operations[: len(before) + 1] == [*before, "Install packages"]
    configured = [operations.index(name) for name in declared(role).files]
    started = [operations.index(name) for name in ("Run sshd", "Run the firewall")]
    assert max(configured) < min(started)


def test_a_release_serves_when_all_units_run():
    assert declared("app").operations[-1] == "Serve the release"


def test_another_version_comes_to_whoever_listens_before_who_speaks():
    order = [name for name in declared("elk").operations if name.startswith("Bring ")]
    programs = ["elasticsearch", "kibana", "logstash", "Filebeat"]
    assert order == [f"Bring {program} to its version" for program in programs]


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
def test_what_is_purged_is_no_place_for_another_task_s_files(role):
    sets = declared(role).files
    purged = {
        (name, path) for name, found in sets.items() for path, each in found.items() if each.asked != path
    }
    assert purged == {("Configure Filebeat and what it reads", "/etc/filebeat/inputs.d")}
    for name, folder in purged:
        strangers = [path for other, found in sets.items() if other != name for path in found]
        assert not [path for path in strangers if path.startswith(f"{folder}/")]


@pytest.mark.parametrize("role", ROLES)
def test_a_converge_needs_few_operations(role):
    # Each is one command when there is nothing to do; `bench/noop` counts them on real hosts.
    assert len(declared(role).operations) <= {"elk": 48}.get(role, 32)


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
    words = ("volume", "group's word", "lets the host go", "private name", "Filebeat", "certificate", "pulse")
    assert not [name for name in there.operations if any(word in name for word in words)]
    assert "corral-data" not in there.text("/etc/systemd/system/postgresql@17-main.service.d/corral.conf")


@pytest.mark.parametrize("role", ROLES)
def test_each_log_of_a_host_is_known_by_a_name_that_fits_a_data_stream(role):
    datasets = [log.dataset for log in declared(role).data["logs"]]
    assert len(set(datasets)) == len(datasets)
    # Elasticsearch, "Data stream naming scheme": no hyphen.
    assert not [name for name in datasets if not re.fullmatch(r"[a-z0-9_.]+", name)]


def test_all_logs_of_a_host_are_rotated_and_shipped_and_nothing_else_is():
    app = declared("app")
    shipped = app.files["Configure Filebeat and what it reads"]
    assert sorted(path for path in shipped if "inputs.d/" in path) == [
        f"/etc/filebeat/inputs.d/{name}.yml"
        for name in (
            "app.console",
            "app.log",
            "corral.converge",
            "corral.host",
            "nginx.access",
            "nginx.error",
            "system.journal",
        )
    ]
    rotated = re.findall(r"^(/.*) {$", app.text("/etc/logrotate.d/corral"), re.MULTILINE)
    assert rotated == [
        "/var/log/corral/converge.json",
        "/var/log/nginx/access.json /var/log/nginx/error.log",
        "/var/log/chat-app/app.log /var/log/chat-app/console.log",
        "/var/log/corral/host.json",
    ]
    assert app.data["certified"] == ["filebeat.service"]


def test_a_machine_outside_of_aws_rotates_its_logs_and_ships_none():
    there = Declared("app", data_volume="", group="", private_zone_id="")
    assert "/var/log/nginx/access.json" in there.text("/etc/logrotate.d/corral")
    assert "/var/log/corral/host.json" not in there.text("/etc/logrotate.d/corral")
    assert not [path for entries in there.files.values() for path in entries if "filebeat" in path]
