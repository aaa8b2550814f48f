"""The fleet on AWS: the hosts in service of the environment that CORRAL_ENV names (live when unset).

CORRAL_ENV=lab pyinfra inventory/aws.py deploy.py
"""

from corral import fleet
from corral.inventory import refuse_misses, sentences
from corral.settings import load
from corral.ssh import known_hosts_file


def _host(host):
    """A host as pyinfra wants it: its address, and what only it knows."""
    return host.private_address, {
        "instance_id": host.instance_id,
        "private_address": host.private_address,
        "zone": host.zone,
        "group": host.group,
        "private_zone_id": host.private_zone_id,
        "data_volume": host.data_volume,
        "ssh_known_hosts_file": known_hosts_file(host.instance_id),
    }


with sentences():
    _found = fleet.by_role(fleet.hosts(load()))
    refuse_misses({role: [host.private_address for host in hosts] for role, hosts in _found.items()})

# pyinfra takes these names for its groups, and gives each the data of group_data/<name>.py.
app = [_host(host) for host in _found.get("app", [])]
db = [_host(host) for host in _found.get("db", [])]
elk = [_host(host) for host in _found.get("elk", [])]
release = [_host(host) for host in _found.get("release", [])]
