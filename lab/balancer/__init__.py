"""The lab's load balancer: HAProxy that follows listeners and target groups. Start at `proxy.py`."""

from lab.balancer.model import Balancer
from lab.balancer.proxy import Proxy

__all__ = ["Balancer", "Proxy"]
