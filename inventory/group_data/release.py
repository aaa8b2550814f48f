"""What the release server knows beside what every host does."""

from corral.settings import load

__settings = load()

role = "release"
private_name = __settings.host_name(role)
release_cidrs = []
# Operators come in here, and from here to all other hosts (corral/stack/security.py).
ssh_cidrs = [*__settings.network.operator_cidrs, *__settings.network.direct_ssh_cidrs]
# The server keeps no key to the hosts.
agent_forwarding = True

build = {
    "repository": __settings.release.repository,
    "registry": __settings.release.registry,
    "minutes": __settings.release.build_minutes,
    "memory_mib": __settings.release.build_memory_mib,
    "cpu_percent": round(__settings.release.build_cpus * 100),
    "kept_logs": __settings.release.kept_logs,
}
