"""What every host may know about its environment. Tasks see these names as `host.data.<name>`."""

from corral.settings import LOGS_SECONDS, load

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

# Where logs go, for how many days a host keeps its own, and how long one that goes waits for its last.
log_server = __settings.host_name("elk")
logs_spool_days = __settings.logs.spool_days
logs_seconds = LOGS_SECONDS

converge_minutes = __settings.converge.minutes
converge_jitter_seconds = __settings.converge.jitter_seconds

# Nobody goes on from here to another host, but from the release server.
agent_forwarding = False
# Whom sshd must let in; push logs in as this user.
ssh_user = __settings.ssh.user

# What ships logs, on every host, and what keeps them on the log server.
elastic = {
    "version": __settings.logs.version,
    "repository": __settings.logs.repository,
    "signing_key": __settings.logs.signing_key,
}
