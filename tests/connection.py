"""What only push needs of a host's data: how to reach it, and to become root there."""

CONNECTION = {
    "_sudo",
    "ssh_key",
    "ssh_known_hosts_file",
    "ssh_paramiko_connect_kwargs",
    "ssh_strict_host_key_checking",
}
