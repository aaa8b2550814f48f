"""What every host may know about its environment. Tasks see these names as `host.data.<name>`."""

from corral.settings import load
from corral.ssh import transport_without_delay

# pyinfra takes every name of this file as data, but those with two underscores and those that are imported.
__settings = load()

environment = __settings.environment
project = __settings.project
region = __settings.region
domain = __settings.domain
private_zone = __settings.private_zone
timezone = __settings.timezone
locale = __settings.locale

# The subnet of the release server, from which it reaches all other hosts.
__subnets = dict(zip(__settings.zones, __settings.private_cidrs, strict=True))
release_cidrs = [__subnets[__settings.singleton_zone("release")]]
balancer_cidrs = list(__settings.public_cidrs)
app_cidrs = list(__settings.private_cidrs)
# Who may come in by SSH beside the fleet itself; the release server's own data says more.
ssh_cidrs = list(__settings.network.direct_ssh_cidrs)

releases_bucket = __settings.releases_bucket

# How pyinfra reaches and becomes root on a host (docs.pyinfra.com: SSH connector, global arguments).
_sudo = True
ssh_user = __settings.ssh.user
if __settings.ssh.private_key:  # else the agent's keys, or those of ~/.ssh/config
    ssh_key = __settings.ssh.private_key
ssh_strict_host_key_checking = "accept-new"
ssh_paramiko_connect_kwargs = {"transport_factory": transport_without_delay}
