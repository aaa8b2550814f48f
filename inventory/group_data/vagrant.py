"""How pyinfra becomes root on a machine of the Vagrantfile; the inventory says how each is reached."""

from corral.ssh import transport_without_delay

_sudo = True
ssh_strict_host_key_checking = "accept-new"
ssh_paramiko_connect_kwargs = {"transport_factory": transport_without_delay}
