"""How pyinfra reaches a host of the fleet from outside, and becomes root there.

It gives every host a group that is named after the inventory's file (docs.pyinfra.com: SSH connector, global
arguments).
"""

from corral.settings import load
from corral.ssh import transport_without_delay

__settings = load()

_sudo = True
if __settings.ssh.private_key:  # else the agent's keys, or those of ~/.ssh/config
    ssh_key = __settings.ssh.private_key
ssh_strict_host_key_checking = "accept-new"
ssh_paramiko_connect_kwargs = {"transport_factory": transport_without_delay}
