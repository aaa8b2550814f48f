"""How pyinfra reaches a host of the fleet from outside, and becomes root there.

It gives every host a group that is named after the inventory's file (docs.pyinfra.com: SSH connector, global
arguments). The inventory says which keys each host is known by.
"""

from corral.settings import load

__settings = load()

_sudo = True
if __settings.ssh.private_key:  # else the agent's keys, or those of ~/.ssh/config
    ssh_key = __settings.ssh.private_key
ssh_strict_host_key_checking = "yes"
