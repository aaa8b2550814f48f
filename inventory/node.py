"""This machine alone, as @local, with the data that push would give it. As root, in an unpacked bundle:

PYTHONPATH=.:lib/any:lib/$(uname -m) python3 -m pyinfra -y inventory/node.py deploy.py
"""

import os
from pathlib import Path

from corral.inventory import refuse_misses, sentences
from corral.node.identity import NODE, this_node
from corral.settings import load


def _host(node):
    """This machine as pyinfra wants it, and what only it knows: as inventory/aws.py has it."""
    return "@local", {
        "instance_id": node.instance,
        "private_address": node.address,
        "zone": node.zone,
        "group": node.group,
        "private_zone_id": node.private_zone_id,
        "data_volume": node.data_volume,
    }


with sentences():
    _node = this_node(Path(os.environ.get("CORRAL_NODE", NODE)))
    # Group data chooses the settings by this variable; whoever runs it, a node is of one environment.
    os.environ["CORRAL_ENV"] = _node.settings
    load()
    refuse_misses({_node.role: ["@local"]})

# pyinfra takes names of this file for its groups: the one named after the role gets that role's data.
globals()[_node.role] = [_host(_node)]
