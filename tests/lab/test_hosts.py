"""Each role's hosts seen from inside, by testinfra: what runs and listens, and the whole firewall."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.lab.fleet import wait_for

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module", params=["app", "db", "elk", "release"])
def role(request):
    return request.param


@pytest.fixture(scope="module")
def host(fleet, role):
    return fleet.host(fleet.members(role)[0])


@pytest.fixture(scope="module")
def app(fleet):
    return fleet.host(fleet.members("app")[0])


@pytest.fixture(scope="module")
def db(fleet):
    return fleet.host(fleet.members("db")[0])


def test_the_whole_firewall(host, role):
    """Against a golden file, so that a rule too many fails too. CORRAL_GOLDEN=write writes it anew."""
    listed = host.check_output("nft --guid list ruleset")
    ruleset = re.sub(r"packets \d+ bytes \d+", "packets N bytes N", listed) + "\n"
    golden = GOLDEN / f"nftables-{role}.txt"
    if os.environ.get("CORRAL_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(ruleset)
    assert ruleset == golden.read_text()


LISTENERS = {
    "app": {"0.0.0.0:22", "[::]:22", "0.0.0.0:80", "0.0.0.0:81", "127.0.0.1:3000"},
    "db": {"0.0.0.0:22", "[::]:22", "{address}:5432"},
    # Logstash for the hosts; nginx, Kibana behind it; Elasticsearch; and what programs say of themselves.
    "elk": {"0.0.0.0:22", "[::]:22", "0.0.0.0:5044", "0.0.0.0:443", "127.0.0.1:5601", "*:9200"}
    | {"127.0.0.1:9600", "[::ffff:127.0.0.1]:9300"},
    "release": {"0.0.0.0:22", "[::]:22"},
}


def test_nothing_listens_but_what_the_role_is_for(fleet, host, role):
    address = fleet.members(role)[0].private_address
    wanted = {listener.format(address=address) for listener in LISTENERS[role]}

    def listening():
        return {line.split()[3] for line in host.check_output("ss -Htln").splitlines()}

    # What waits for a certificate begins when no converge looks.
    wait_for("what serves listens", lambda: wanted <= listening(), seconds=120)
    assert listening() == wanted


def test_no_unit_has_failed(host):
    assert host.check_output("systemctl --failed --no-legend --plain") == ""


def test_ssh_takes_keys_only_and_no_root(host):
    rules = host.check_output("sshd -T").splitlines()
    for rule in (
        "passwordauthentication no",
        "permitrootlogin no",
        "kbdinteractiveauthentication no",
        "pubkeyauthentication yes",
    ):
        assert rule in rules


def test_security_upgrades_come_by_themselves(host):
    settings = host.check_output("apt-config dump")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    assert 'DPkg::Lock::Timeout "' in settings
    assert host.service("apt-daily-upgrade.timer").is_enabled


def test_the_journal_is_a_spool_as_large_as_the_settings_say(fleet, host):
    said = host.check_output("journalctl -o cat -u systemd-journald").splitlines()
    last = [line for line in said if line.startswith("System Journal (")][-1]
    assert f"max {100 * fleet.settings.logs.spool_days}M" in last.replace(".0M", "M")


def test_time_zone_and_locale_are_the_settings(fleet, host):
    assert host.check_output("readlink /etc/localtime") == f"/usr/share/zoneinfo/{fleet.settings.timezone}"
    assert f"LANG={fleet.settings.locale}" in host.file("/etc/default/locale").content_string


def test_the_user_data_ran(fleet, host, role):
    node = host.file("/etc/corral/node.env").content_string
    assert f"CORRAL_ROLE={role}\n" in node
    assert "CORRAL_ENVIRONMENT=lab\n" in node
    assert f"CORRAL_INSTANCE={fleet.members(role)[0].instance_id}\n" in node


def test_pm2_runs_as_nobody_in_particular(app):
    assert app.service("corral-app.service").is_running
    assert app.service("corral-app.service").is_enabled
    home = app.file("/var/lib/corral/pm2")
    assert (home.user, home.mode) == ("app", 0o700)
    running_node = "readlink $p/exe 2>/dev/null | grep -q runtimes/node && stat -c %U $p"
    owners = app.check_output(f"for p in /proc/[0-9]*; do {running_node}; done; true").split()
    assert set(owners) == {"app"}


def test_the_runtimes_are_the_pinned_ones(app, root):
    pinned = json.loads((root / "files/process_manager/runtimes.json").read_text())
    pid = app.check_output("systemctl show -P MainPID corral-app")
    node = app.check_output(f"readlink -f /proc/{pid}/exe")
    assert node == app.check_output("readlink -f /opt/corral/runtimes/node/bin/node")
    assert app.check_output(f"{node} --version") == f"v{pinned['node']['version']}"
    package = app.file("/opt/corral/runtimes/pm2/node_modules/pm2/package.json").content_string
    assert json.loads(package)["version"] == pinned["pm2"]["version"]


def test_as_many_processes_serve_as_the_settings_say(fleet, app):
    listing = app.check_output("pgrep -u app -fc 'server/main.js'")
    assert int(listing) >= fleet.settings.app.processes


def test_nginx_reads_its_configuration_without_a_warning(app):
    done = app.run("nginx -t")
    assert done.rc == 0
    assert "warn" not in done.stderr


def test_postgres_takes_app_servers_with_scram_only(fleet, db):
    query = 'runuser -u postgres -- psql -XAtc "{}"'.format
    columns = "select type, database, user_name, address, auth_method from pg_hba_file_rules"
    rules = db.check_output(query(columns)).splitlines()
    remote = {rule for rule in rules if rule.startswith("host")}
    assert remote
    assert all(rule.endswith("scram-sha-256") for rule in remote)
    name, user = fleet.settings.db.database, fleet.settings.db.user
    allowed = {cidr.split("/")[0] for cidr in fleet.settings.private_cidrs}
    outside = {rule.split("|")[3] for rule in remote if not rule.split("|")[3].startswith("127.")}
    assert outside == allowed
    assert {tuple(rule.split("|")[1:3]) for rule in remote if rule.split("|")[3] in allowed} == {
        (f"{{{name}}}", f"{{{user}}}")
    }
    verifier = db.check_output(query(f"select rolpassword from pg_authid where rolname = '{user}'"))
    assert verifier.startswith("SCRAM-SHA-256$")


def test_the_database_is_found_by_its_private_name(fleet, app):
    address = fleet.members("db")[0].private_address
    assert app.check_output(f"getent hosts db.{fleet.settings.private_zone}").split()[0] == address


def test_a_rule_missing_in_the_stack_is_missing_in_the_lab(fleet, app, db):
    """The security groups are enforced from outside the hosts: what no rule allows does not arrive."""
    mine, database = fleet.members("app"), fleet.members("db")[0].private_address
    reach = "timeout 2 bash -c 'exec 3<>/dev/tcp/{}/{}'"
    release = fleet.host(fleet.members("release")[0])
    assert release.run(reach.format(database, 22)).rc == 0
    assert release.run(reach.format(database, 5432)).rc != 0
    assert app.run(reach.format(database, 5432)).rc == 0
    assert app.run(reach.format(database, 22)).rc != 0
    assert app.run(reach.format(mine[1].private_address, 80)).rc != 0
    assert db.run(reach.format(mine[0].private_address, 80)).rc != 0
