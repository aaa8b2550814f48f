"""Where the lab keeps things, and the addresses and names that it uses."""

import ipaddress
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

# Gone after `corral lab down`.
STATE = Path("/var/lib/corral-lab")
HOSTS = STATE / "hosts"
VOLUMES = STATE / "volumes"
SERVICES = STATE / "services"
REBOOTS = STATE / "reboot"
INSTANCES = STATE / "instances.json"
RECONCILER_STATUS = STATE / "reconciler.json"
TARGET_HEALTH = STATE / "target-health.json"
CONFIGURATION = STATE / "lab.json"
VPCS = STATE / "vpcs.json"
NAMES = STATE / "names"
UP = STATE / "up"

# Stays: what is slow to make, and the certificate authority that the base image trusts.
CACHE = Path("/var/cache/corral-lab")
IMAGES = CACHE / "images"
APT_CACHE = CACHE / "apt"
CA = CACHE / "ca"
ELASTIC = CACHE / "elastic"
LOCK = CACHE / "lock"

# Network namespaces, and the one link that joins them to the machine.
ROUTER = "corral-lab"
BALANCER_NAMESPACE = "corral-lab-lb"
LINK = "corral-lab"
NFT_TABLE = "corral_lab"

LINK_NETWORK = "169.254.77.0/24"
MACHINE = "169.254.77.1"
GATEWAY = "169.254.77.2"
# The load balancers' addresses begin here; as long as there is none, it is their namespace's own.
FIRST_BALANCER = "169.254.77.3"
METADATA = "169.254.169.254"
API_PORT = 4566
ENDPOINT = f"http://{GATEWAY}:{API_PORT}"
APT_PROXY = f"http://{MACHINE}:80"


def host_namespace(instance_id: str) -> str:
    """Name of the network namespace of one host."""
    return f"{ROUTER}-{instance_id}"


def resolver(cidr: str) -> str:
    """Address of a VPC's resolver: its network plus two, as on AWS (docs: "Amazon DNS server").

    `cidr`: the VPC's network, such as "10.42.0.0/16".
    """
    return str(ipaddress.ip_network(cidr)[2])
