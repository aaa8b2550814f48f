"""Where the lab's balancer listens, and whom it asks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.paths import API_PORT, BALANCER, GATEWAY

# Name under which the balancer's own mount namespace knows the machine's network.
MACHINE_NAMESPACE = "machine"


@dataclass(frozen=True)
class Places:
    """Where the balancer listens and whom it asks; without namespaces in tests.

    `ports`: a listener's port -> the port of the machine's 127.0.0.1 that leads to it.
    """

    directory: Path
    ports: Mapping[int, int]
    public: str = BALANCER
    api_listen: str = f"{GATEWAY}:443"
    api_server: str = f"{GATEWAY}:{API_PORT}"
    namespaces: bool = True

    def within(self, namespace: str) -> str:
        """The word that puts a socket into a namespace."""
        return f" namespace {namespace}" if self.namespaces else ""
