"""What only a member of the fleet has."""

from pyinfra import host


def in_group() -> bool:
    """Whether this host belongs to an auto-scaling group.

    A machine outside of AWS does not: nobody ends it, asks it for a certificate, or takes its logs.
    """
    return bool(host.data.get("group"))
