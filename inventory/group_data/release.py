"""What the release server knows beside what every host does."""

from corral.settings import load

__settings = load()

role = "release"
private_name = __settings.host_name(role)
release_cidrs = []
# Operators come in here, and from here to all other hosts (corral/stack/security.py).
ssh_cidrs = [*__settings.network.operator_cidrs, *__settings.network.direct_ssh_cidrs]
