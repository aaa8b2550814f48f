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


def activate():
    """Load the ruleset, now and at boot."""
    service(name="Run the firewall", units=[Unit("nftables.service", health="nft list table inet corral")])
