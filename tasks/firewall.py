"""firewall: lets in what the tasks of this host's role declare in their PORTS, and nothing else.

The security groups say the same from outside. This one also holds when somebody edits those by hand.
"""

from pyinfra import host

from tasks.lib.files import File, config_files
from tasks.lib.ports import rules
from tasks.lib.services import Unit, service

PACKAGES = ["nftables"]


def configure():
    """Write the ruleset, once nft has read it without complaint."""
    config_files(
        name="Open this role's ports and no others",
        files=[
            File(
                "/etc/nftables.conf",
                source="templates/firewall/nftables.conf.j2",
                mode="755",
                data={"rules": rules(host.data.ports, host.data.dict())},
            )
        ],
        check="nft --check --file /etc/nftables.conf",
        reloads=["nftables.service"],
    )


# What the kernel does, against what it would do after a fresh start: both as nft writes them, the latter from
# a network namespace of a moment. So a rule that somebody added, or flushed, is drift like any other.
LOADED = "nft --stateless list table inet corral"
AS_WRITTEN = f"unshare --net sh -c 'nft --file /etc/nftables.conf && {LOADED}'"


def activate():
    """Load the ruleset, now and at boot, and again when it was tampered with."""
    service(
        name="Run the firewall",
        units=[
            Unit("nftables.service", health=LOADED, intact=f'test "$({LOADED})" = "$({AS_WRITTEN})"'),
        ],
    )
