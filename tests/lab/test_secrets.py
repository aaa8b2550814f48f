"""The database password: made once by the stack, read by the hosts' own roles, and nowhere else."""

import subprocess

from tests.lab.fleet import BIN, run

DISKS = ("/etc", "/var", "/srv", "/home", "/root", "/opt", "/tmp")


def password(fleet):
    name = fleet.settings.parameter("app", "database-password")
    return fleet.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]


def test_the_password_is_on_no_disk_of_any_host(fleet):
    secret = password(fleet)
    for member in fleet.members():
        # The pattern travels by standard input, so that it is not on the searching command's own line either.
        found = subprocess.run(
            [
                BIN / "corral",
                "lab",
                "shell",
                member.instance_id,
                "--",
                "grep",
                "-rlF",
                "--file=-",
                "-D",
                "skip",
                *DISKS,
            ],
            input=secret,
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == 1, f"{member.role} {member.instance_id}: {found.stdout}{found.stderr}"


def test_the_password_is_readable_where_it_is_used_and_by_nobody_else(fleet):
    secret = password(fleet)
    for member in fleet.members("app"):
        found = fleet.shell(member, "grep -rl . /run/corral/secrets").stdout.split()
        assert found == ["/run/corral/secrets/app/database-password"]
        assert fleet.shell(member, f"cat {found[0]}").stdout.strip() == secret
        assert fleet.shell(member, f"stat -c '%a %U' {found[0]}").stdout.strip() == "400 app"
        assert "tmpfs" in fleet.shell(member, "stat -f -c %T /run").stdout


def test_the_password_is_in_no_log_template_or_output(fleet):
    secret = password(fleet)
    assert secret not in run("corral", "stack", "render", "-e", "lab").stdout
    for member in fleet.members():
        assert secret not in fleet.shell(member, "journalctl --no-pager -o cat").stdout
        assert (
            secret
            not in fleet.shell(member, "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' ' '").stdout
        )
    output = run("pyinfra", "-y", "-vvv", "--debug", "inventory/aws.py", "deploy.py", CORRAL_ENV="lab")
    assert secret not in output.stdout + output.stderr


def test_a_role_reads_no_other_roles_secrets(fleet):
    (database,) = fleet.members("db")
    app = fleet.members("app")[0]
    name = fleet.settings.parameter("app", "database-password")
    read = "/usr/local/lib/corral/aws ssm-get"
    assert fleet.shell(app, f"{read} {name} >/dev/null").returncode == 0
    assert fleet.shell(database, f"{read} {name} >/dev/null").returncode == 0
    denied = fleet.shell(app, f"{read} {fleet.settings.parameter('db', 'anything')}", check=False)
    assert denied.returncode != 0
    assert "AccessDenied" in denied.stderr
