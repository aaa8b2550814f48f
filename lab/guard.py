"""The machine guard: nftables rules and routes that keep the lab's packets inside the lab."""

import contextlib
import ipaddress
from collections import Counter
from collections.abc import Iterable

from corral.errors import CorralError
from lab.commands import run
from lab.paths import LINK, LINK_NETWORK, MACHINE, NFT_TABLE

# Lower than any route the lab or the machine would use for these addresses.
_LAST_METRIC = 4_294_967_294


def ruleset(networks: Iterable[str]) -> str:
    """The guard as text for `nft -f`; it replaces an older one in one transaction (pure).

    `networks`: of the VPCs. Packets for the lab leave by the lab's link or not at all; nothing is forwarded
    between the lab and the machine's other interfaces; of the machine, a host reaches the package cache and
    npm's registry only.
    """
    inside = sorted({*networks, LINK_NETWORK}, key=ipaddress.IPv4Network)
    elsewhere = f'oifname != "{LINK}" oifname != "lo"'
    out = _rules(inside, f'{elsewhere} counter drop comment "to the lab by another way"')
    through = _rules(inside, 'counter drop comment "to the lab\'s addresses"')
    return f"""
table inet {NFT_TABLE}
delete table inet {NFT_TABLE}
table inet {NFT_TABLE} {{
    chain output {{
        type filter hook output priority -150; policy accept;
        {out}
    }}
    chain forward {{
        type filter hook forward priority -150; policy accept;
        iifname "{LINK}" counter drop comment "out of the lab"
        oifname "{LINK}" counter drop comment "into the lab"
        {through}
    }}
    chain input {{
        type filter hook input priority -150; policy accept;
        iifname != "{LINK}" accept
        ct state established,related accept
        ip daddr {MACHINE} tcp dport {{ 80, 443 }} accept comment "packages"
        icmp type echo-request accept
        counter drop comment "from the lab to this machine"
    }}
}}
"""


def raise_guard(networks: Iterable[str]) -> None:
    """Put the guard up over the VPCs' networks, and over no others; harmless when it is up already.

    It must cover a network before any address of it exists, and until the last one is gone.
    """
    wanted = {*networks, LINK_NETWORK}
    gone = covered() - wanted
    _hang_up(gone)
    run("nft", "-f", "-", stdin=ruleset(wanted))
    # While the link is missing or down, a connect to the lab fails at once; it never tries the default route.
    for network in wanted:
        run("ip", "route", "replace", "unreachable", network, "metric", str(_LAST_METRIC))
    for network in gone:
        run("ip", "route", "del", "unreachable", network, "metric", str(_LAST_METRIC))


def lower_guard() -> None:
    """Take the guard away, the last thing of the lab to go."""
    _hang_up(covered())
    for line in routes():
        run("ip", "route", "del", *line.split()[:2], "metric", str(_LAST_METRIC))
    with contextlib.suppress(CorralError):
        run("nft", "delete", "table", "inet", NFT_TABLE)


def covered() -> set[str]:
    """The networks that it is up over, the link's among them."""
    return {line.split()[1] for line in routes()}


def routes() -> list[str]:
    """The guard's own routes, as `ip route` shows them."""
    shown = run("ip", "route", "show", "type", "unreachable").splitlines()
    return [line for line in shown if f"metric {_LAST_METRIC}" in line]


def is_up() -> bool:
    """Whether the guard's rules are there."""
    return f"table inet {NFT_TABLE}\n" in run("nft", "list", "tables")


def dropped() -> dict[str, int]:
    """How many packets each rule of the guard has dropped, by the rule's comment."""
    counts: Counter[str] = Counter()
    for line in run("nft", "list", "table", "inet", NFT_TABLE).splitlines():
        if "counter packets" in line and "comment" in line:
            counts[line.split('comment "')[1].rstrip('"')] += int(
                line.split("counter packets ")[1].split()[0]
            )
    return counts


def _rules(networks: Iterable[str], what: str) -> str:
    """A rule for each network, and no set of them.

    While a transaction replaces the rules, the old ones look into sets that count as empty already, and one
    packet of some thousands comes through (measured with kernel 6.18; tests/local/test_lab_network.py).
    """
    return "\n        ".join(f"ip daddr {network} {what}" for network in networks)


def _hang_up(networks: Iterable[str]) -> None:
    """End the machine's open connections into networks, which would send on when no guard stops them."""
    for network in networks:
        run("ss", "--kill", "--tcp", "dst", network, check=False)
