"""The fleet on AWS: the hosts in service of the environment that CORRAL_ENV names (live when unset).

CORRAL_ENV=lab pyinfra inventory/aws.py deploy.py
"""

import os

from corral import fleet, host_keys
from corral.inventory import refuse_misses, sentences
from corral.settings import load


def _host(host):
    """A host as pyinfra wants it: its address, and what only it knows."""
    trust = _trusts[host.instance_id]
    return host.private_address, {
        "instance_id": host.instance_id,
        "private_address": host.private_address,
        "zone": host.zone,
        "group": host.group,
        "private_zone_id": host.private_zone_id,
        "data_volume": host.data_volume,
        # The keys that it reported, and no others; without any, the transport says why it isn't trusted.
        "ssh_known_hosts_file": str(trust.file or os.devnull),
        "ssh_paramiko_connect_kwargs": {"transport_factory": trust},
    }


with sentences():
    _settings = load()
    _hosts = fleet.hosts(_settings)
    _found = fleet.by_role(_hosts)
    refuse_misses({role: [host.private_address for host in hosts] for role, hosts in _found.items()})
    _trusts = host_keys.trusts(_settings, _hosts)

# pyinfra takes these names for its groups, and gives each the data of group_data/<name>.py.
app = [_host(host) for host in _found.get("app", [])]
db = [_host(host) for host in _found.get("db", [])]
elk = [_host(host) for host in _found.get("elk", [])]
release = [_host(host) for host in _found.get("release", [])]
