"""python3 -m corral.node boot|tick: converges this host (see files/node/converge)."""

import sys

from corral.errors import CorralError
from corral.node.converge import boot, converge
from corral.node.identity import this_node


def main(words: list[str]) -> int:
    """The exit code: 0 when this host is healthy."""
    if words not in (["boot"], ["tick"]):
        print("corral: usage: python3 -m corral.node boot|tick", file=sys.stderr)
        return 2
    try:
        node = this_node()
        healthy = boot(node) if words == ["boot"] else converge(node, "tick")["result"] == "healthy"
    except CorralError as error:
        print(f"corral: {error}", file=sys.stderr)
        return 1
    return 0 if healthy else 1


sys.exit(main(sys.argv[1:]))
