"""The machine guard: nftables rules and routes that keep the lab's packets inside the lab."""

import contextlib

from corral.errors import CorralError
from lab.commands import run
from lab.paths import LINK, LINK_NETWORK, MACHINE, NFT_TABLE

# Lower than any route the lab or the machine would use for these addresses.
_LAST_METRIC = 4_294_967_294


def ruleset(cidr: str) -> str:
    """The guard as text for `nft -f`; it replaces an older one in one transaction.

    `cidr`: the VPC's network. Packets for the lab leave by the lab's link or not at all; nothing is forwarded
    between the lab and the machine's other interfaces; of the machine, a host reaches the package cache only.
    """
    inside = f"{{ {cidr}, {LINK_NETWORK} }}"
    return f"""
table inet {NFT_TABLE}
delete table inet {NFT_TABLE}
table inet {NFT_TABLE} {{
    chain output {{
        type filter hook output priority -150; policy accept;
        ip daddr {inside} oifname != {{ "{LINK}", "lo" }} counter drop comment "to the lab by another way"
    }}
    chain forward {{
        type filter hook forward priority -150; policy accept;
        iifname "{LINK}" counter drop comment "out of the lab"
        oifname "{LINK}" counter drop comment "into the lab"
        ip daddr {inside} counter drop comment "to the lab's addresses"
    }}
    chain input {{
        type filter hook input priority -150; policy accept;
        iifname != "{LINK}" accept
        ct state established,related accept
        ip daddr {MACHINE} tcp dport 80 accept comment "package cache"
        icmp type echo-request accept
        counter drop comment "from the lab to this machine"
    }}
}}
"""


def raise_guard(cidr: str) -> None:
    """Put the guard up, before any address of the lab exists; harmless when it is up already."""
    run("nft", "-f", "-", stdin=ruleset(cidr))
    # While the link is missing or down, a connect to the lab fails at once; it never tries the default route.
    for network in (cidr, LINK_NETWORK):
        run("ip", "route", "replace", "unreachable", network, "metric", str(_LAST_METRIC))


def lower_guard() -> None:
    """Take the guard away, the last thing of the lab to go."""
    for line in routes():
        run("ip", "route", "del", *line.split()[:2], "metric", str(_LAST_METRIC))
    with contextlib.suppress(CorralError):
        run("nft", "delete", "table", "inet", NFT_TABLE)


def routes() -> list[str]:
    """The guard's own routes, as `ip route` shows them."""
    shown = run("ip", "route", "show", "type", "unreachable").splitlines()
    return [line for line in shown if f"metric {_LAST_METRIC}" in line]


def is_up() -> bool:
    """Whether the guard's rules are there."""
    return f"table inet {NFT_TABLE}\n" in run("nft", "list", "tables")


def dropped() -> dict[str, int]:
    """How many packets each rule of the guard has dropped, by the rule's comment."""
    counts = {}
    for line in run("nft", "list", "table", "inet", NFT_TABLE).splitlines():
        if "counter packets" in line and "comment" in line:
            counts[line.split('comment "')[1].rstrip('"')] = int(line.split("counter packets ")[1].split()[0])
    return counts
