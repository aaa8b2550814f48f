"""A progressive rollout to 10 000 simulated servers: who meets a release that fails, how soon it halts.

bench/waves.py          simulated, on a clock of its own: no lab, no root
"""

import sys

from _lab import ROOT

sys.path.insert(0, str(ROOT))  # for what the tests simulate with

from corral.errors import CorralError
from corral.releases.choice import place
from tests.unit.test_progressive import NEW, SERVERS, STEPS, Fleet


def main() -> None:
    """One rollout that succeeds, and for each wave one that fails in it, on every server or on one of 100."""
    print(f"{'':44}{'halted after':>14}{'servers that met it':>21}")
    row("a good release", Fleet())
    for number, percent in enumerate(STEPS):
        before = (0, *STEPS)[number]
        for share, every in (("all", 1), ("1 of 100", 100)):
            fleet = Fleet(
                broken=lambda one, b=before, e=every: place(NEW, one) >= b and int(one[2:], 16) % e == 0
            )
            row(f"fails on {share} of those from {before} to {percent} %", fleet)


def row(name: str, fleet: Fleet) -> None:
    """Run one, and print what came of it."""
    try:
        fleet.roll_out()
        end = f"done {fleet.now / 60:5.0f} min"
    except CorralError:
        end = f"{fleet.now / 60:5.0f} min"
    print(f"{name:44}{end:>14}{len(fleet.exposed):>13} of {len(SERVERS)}", flush=True)


if __name__ == "__main__":
    main()
