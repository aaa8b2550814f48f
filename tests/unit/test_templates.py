"""What lands on hosts: every template rendered strictly, and put before the program that will read it."""

import shutil
import subprocess

import pytest

from tasks.lib.ports import Port, rules
from tests.shared.roles import ROLES, ROOT, Declared, group_data
from tests.unit.test_deploy import declared

GOLDEN = ROOT / "tests" / "unit" / "golden"


def check(*command, **more):
    """Runs a checker in namespaces of its own: root there, with a network and mounts of nobody else."""
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "--net", *command],
        capture_output=True,
        text=True,
        timeout=60,
        **more,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_template_and_file_lands_on_some_host():
    # Declared renders all of them strictly: a name without a value fails there.
    used = set().union(*(declared(role).sources for role in ROLES))
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "templates").rglob("*") if path.is_file()}
    there |= {str(path.relative_to(ROOT)) for path in (ROOT / "files").rglob("*") if path.is_file()}
    # Read by corral itself: the instances' first script, and the pins of the runtimes.
    there -= {str(path.relative_to(ROOT)) for path in (ROOT / "files" / "process_manager").glob("*.json")}
    there -= {"files/user-data.sh"}
    # The hosts of the lab have another key, in their image.
    there -= {"files/elastic/elastic.asc"}
    # What a node runs from its bundle (corral/node/).
    there -= {str(path.relative_to(ROOT)) for path in (ROOT / "files" / "node").iterdir()}
    assert there - used == set()


@pytest.mark.parametrize("role", ROLES)
def test_the_whole_firewall(role, request):
    text = declared(role).text("/etc/nftables.conf")
    assert text == (GOLDEN / f"nftables-{role}.conf").read_text(), (
        "an open port more or less? look, then copy"
    )


@pytest.mark.parametrize("role", ROLES)
def test_nft_reads_the_firewall(role, tmp_path):
    (tmp_path / "nftables.conf").write_text(declared(role).text("/etc/nftables.conf"))
    # Of users it needs to know the numbers.
    users = ["root", "release", "www-data", "kibana", "logstash"]
    lines = [f"{name}:x:{number}:{number}::/:/bin/sh\n" for number, name in enumerate(users)]
    (tmp_path / "passwd").write_text("".join(lines))
    known = f"mount --bind {tmp_path}/passwd /etc/passwd"
    check("sh", "-c", f"{known} && exec nft --check --file {tmp_path}/nftables.conf")


def test_a_port_is_open_for_its_sources_only():
    data = {"one": "10.0.0.0/24", "many": ["10.0.1.0/24", "10.0.0.0/24", "fd00::/8"], "none": []}
    assert rules([Port(443, ("many", "one")), Port(53, ("one",), "udp"), Port(80, ("none",))], data) == [
        "ip saddr { 10.0.0.0/24 } udp dport 53 accept",
        "ip saddr { 10.0.0.0/23 } tcp dport 443 accept",
        "ip6 saddr { fd00::/8 } tcp dport 443 accept",
    ]


def older_than(*version):
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr
    return tuple(int(number) for number in said.removeprefix("OpenSSH_").split("p")[0].split(".")) < version


def test_sshd_reads_its_configuration(tmp_path):
    text = declared("app").text("/etc/ssh/sshd_config.d/10-corral.conf")
    if older_than(9, 8):  # Debian 12's doesn't know it; our hosts run Debian 13.
        text = "".join(line for line in text.splitlines(True) if not line.startswith("PerSourcePenalty"))
    (tmp_path / "10-corral.conf").write_text(text)
    (tmp_path / "sshd_config").write_text(
        f"HostKey {tmp_path}/key\nInclude {tmp_path}/*.conf\nPermitRootLogin yes\n"
    )
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    assert sshd, "install what requirements/debian-test.txt lists: make test does"
    inside = "mount -t tmpfs tmpfs /run && mkdir /run/sshd && "
    check("sh", "-c", f"{inside} {sshd} -t -f {tmp_path}/sshd_config")

    # Its values win over whatever comes after, and mean what they should.
    rules = subprocess.run(
        [
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            f"{inside} {sshd} -T -f {tmp_path}/sshd_config",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert {
        "permitrootlogin no",
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "pubkeyauthentication yes",
        "authenticationmethods publickey",
        "x11forwarding no",
        # The release server is the jump host (docs/reaching-hosts.md).
        "allowtcpforwarding yes",
    } <= set(rules)


def test_an_operators_agent_comes_along_to_the_release_server_alone():
    texts = {role: declared(role).text("/etc/ssh/sshd_config.d/10-corral.conf") for role in ROLES}
    assert {role for role, text in texts.items() if "\nAllowAgentForwarding yes\n" in text} == {"release"}
    assert all("\nAllowAgentForwarding no\n" in text for role, text in texts.items() if role != "release")


def test_where_nobody_may_come_in_nobody_is_exempt_from_penalties():
    """A list of nobody would be no configuration that sshd reads."""
    nobody = Declared("release", ssh_cidrs=[]).text("/etc/ssh/sshd_config.d/10-corral.conf")
    assert "PerSourcePenaltyExemptList" not in nobody
    text = declared("app").text("/etc/ssh/sshd_config.d/10-corral.conf")
    assert "\nPerSourcePenaltyExemptList 10.42.16.0/20,169.254.77.1/32\n" in text


def test_apt_reads_its_configuration(tmp_path):
    for path in ("/etc/apt/apt.conf.d/20auto-upgrades", "/etc/apt/apt.conf.d/80corral"):
        (tmp_path / "apt.conf").write_text(declared("app").text(path))
        done = subprocess.run(
            ["apt-config", "dump"],
            capture_output=True,
            text=True,
            env={"APT_CONFIG": str(tmp_path / "apt.conf")},
        )
        assert done.returncode == 0, done.stderr
        assert ('\nDPkg::Lock::Timeout "300"' in done.stdout) == path.endswith("80corral")


SCRIPTS = [
    *(ROOT / "tasks" / "lib" / "scripts").glob("*.sh"),
    *(ROOT / "files" / "release").iterdir(),
    *(ROOT / "files" / "elasticsearch").glob("give-*"),
]


@pytest.mark.parametrize("script", sorted(SCRIPTS), ids=lambda path: path.name)
def test_scripts_that_run_on_hosts_are_clean(script):
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("environment", "connections"), [("lab", 140), ("live", 500), ("branch", 100)])
def test_postgres_has_room_for_every_app_server_there_may_be(environment, connections):
    assert group_data("db", environment)["max_connections"] == connections
    text = declared("db").text("/etc/postgresql/17/main/postgresql.conf")
    assert "\nmax_connections = 140\n" in text


def test_nothing_on_a_host_knows_the_lab():
    for role in ROLES:
        for entries in Declared(role).files.values():
            for entry in entries.values():
                assert b"corral-lab" not in entry.body, entry.path
