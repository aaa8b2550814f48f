"""Every type of resource that the lab's CloudFormation knows."""

from lab.cloud.cloudformation.resources import (
    alarms,
    balancer,
    hooks,
    identity,
    names,
    network,
    parameters,
    routes,
    security,
    servers,
    storage,
    volumes,
)
from lab.cloud.cloudformation.resources.base import KINDS, Kind, Refused, kind_of

__all__ = [
    "KINDS",
    "Kind",
    "Refused",
    "alarms",
    "balancer",
    "hooks",
    "identity",
    "kind_of",
    "names",
    "network",
    "parameters",
    "routes",
    "security",
    "servers",
    "storage",
    "volumes",
]
