"""The main job: a second converge changes nothing; drift is shown, then repaired; a run can be limited."""

import pytest

from tests.lab.fleet import run

pytestmark = pytest.mark.usefixtures("left_alone")


def test_the_second_converge_changes_nothing(fleet):
    again = fleet.converge()
    assert again.changed == {}
    assert again.hosts == {member.private_address for member in fleet.members()}
    assert again.failed == {}


def test_a_dry_run_predicts_nothing_on_a_converged_fleet(fleet):
    assert fleet.converge("--dry").predicted == {}


DAMAGES = {
    "content": ("app", "echo '# by hand' >>/etc/nginx/sites-enabled/{site}"),
    "mode": ("app", "chmod 666 /etc/corral/app.env"),
    "missing": ("db", "rm /etc/nftables.conf"),
    "stopped": ("app", "systemctl stop nginx"),
    "disabled": ("db", "systemctl disable --quiet postgresql"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_drift_is_shown_by_a_dry_run_and_repaired_by_the_next(fleet, damage):
    role, command = DAMAGES[damage]
    member = fleet.members(role)[0]
    site = f"{fleet.settings.project}.conf"
    fleet.shell(member, command.format(site=site))

    predicted = fleet.converge("--dry").predicted
    assert predicted
    assert {host for hosts in predicted.values() for host in hosts} == {member.private_address}

    repaired = fleet.converge().changed
    assert {host for hosts in repaired.values() for host in hosts} == {member.private_address}
    assert fleet.converge().changed == {}


def test_limit_takes_a_role_and_a_single_address(fleet):
    apps = {member.private_address for member in fleet.members("app")}
    assert fleet.converge("--limit", "app").hosts == apps
    database = fleet.members("db")[0].private_address
    assert fleet.converge("--limit", database).hosts == {database}


def test_a_limit_that_names_nobody_is_an_error(fleet):
    done = fleet.converge("--limit", "ap", check=False)
    assert done.returncode != 0
    assert "ap" in done.stderr


def test_a_wrong_environment_is_one_sentence(fleet):
    done = run("pyinfra", "inventory/aws.py", "deploy.py", CORRAL_ENV="lvie", check=False)
    assert done.returncode != 0
    assert "lvie" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_converge_killed_between_a_files_change_and_its_restart_is_repaired_by_the_next(fleet):
    """The state that such a kill leaves: the new file stands, the marker too, the old process runs."""
    member = fleet.members("app")[0]
    before = fleet.shell(member, "systemctl show -P ActiveEnterTimestampMonotonic nftables").stdout
    fleet.shell(member, "mkdir -p /run/corral/restart && touch /run/corral/restart/nftables.service")
    repaired = fleet.converge("--limit", member.private_address)
    assert repaired.changed
    assert fleet.shell(member, "systemctl show -P ActiveEnterTimestampMonotonic nftables").stdout != before
    assert fleet.converge("--limit", member.private_address).changed == {}
