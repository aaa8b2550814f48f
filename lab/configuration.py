"""What one run of the lab was started with; its processes read it, so that they agree."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.paths import CONFIGURATION


@dataclass(frozen=True)
class Configuration:
    """Kept as lab.json in the lab's state from the start of `corral lab up`."""

    environment: str
    image: str  # the base image's root directory
    https_port: int  # of this machine, where the site opens
    http_port: int

    @property
    def ports(self) -> dict[int, int]:
        """The balancer's listeners' ports, with the port of 127.0.0.1 where each is found."""
        return {443: self.https_port, 80: self.http_port}

    @property
    def base(self) -> Path:
        """The base image's root directory."""
        return Path(self.image)

    def url(self, domain: str) -> str:
        """Where the site opens on this machine."""
        port = "" if self.https_port == 443 else f":{self.https_port}"
        return f"https://{domain}{port}/"

    def save(self) -> None:
        """Write it for the lab's processes."""
        CONFIGURATION.write_text(json.dumps(asdict(self)))


def saved() -> Configuration:
    """The running lab's; raises FileNotFoundError when none was started."""
    return Configuration(**json.loads(CONFIGURATION.read_text()))
