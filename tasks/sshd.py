"""sshd: the operators' way in: keys only, no root, and never closed to the user that converges the host."""

from pyinfra import host

from tasks.lib.files import File, config_files
from tasks.lib.ports import Port
from tasks.lib.services import Unit, service
from tasks.lib.shell import command_line

PACKAGES = ["openssh-server"]

# The security group says it once more, from outside; of that subnet it lets in the release server alone.
PORTS = [Port(22, sources=("ssh_cidrs", "release_cidrs"))]


def configure():
    """Harden sshd, if the login user can still come in afterwards."""
    config_files(
        name="Harden sshd",
        # sshd takes the first value it finds, so this comes before cloud-init's 50-cloud-init.conf.
        files=[
            File("/etc/ssh/sshd_config.d/10-corral.conf", source="templates/sshd/sshd.conf.j2", mode="600")
        ],
        check=command_line("sshd_check.sh", host.data.ssh_user),
        reloads=["ssh.service"],
    )


def activate():
    """Keep sshd running."""
    service(
        name="Run sshd",
        units=[Unit("ssh.service", health='test -n "$(ssh-keyscan -T 5 127.0.0.1 2>/dev/null)"')],
    )
