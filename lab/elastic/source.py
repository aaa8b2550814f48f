"""Where the lab's hosts get Elastic's packages: of Elastic, if this machine reaches it, else the lab's own.

Hosts ask for Elastic's address either way, by http: the lab's package cache (lab/apt.py) stands in between.
The key that they trust is in their image, as for a company that has a mirror of its own.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from lab.commands import run
from lab.elastic import repository
from lab.elastic.engine import VERSION
from lab.paths import ELASTIC, REPOSITORY

HOST = "artifacts.elastic.co"
# Where the image of hosts has the key; `logs.signing_key` of environments/lab.toml.
KEYRING = "/usr/share/keyrings/elastic.asc"
_ASKED = f"https://{HOST}/{repository.APT}/dists/stable/InRelease"
_SAVED = ELASTIC / "source.json"


@dataclass(frozen=True)
class Source:
    """`key`: a file with what signs it. `root`: the folder of the lab's own, "" for Elastic's."""

    key: str
    root: str = ""

    @property
    def said(self) -> str:
        """What runs, in one sentence."""
        if not self.root:
            return f"Logs: Elastic's own packages, from {HOST}."
        return (
            f"Logs: Elasticsearch is Elastic's own engine {VERSION}, reduced; Filebeat, Logstash and Kibana"
            f" are the lab's stand-ins, as {HOST} can't be reached: docs/elastic-stand-ins.md"
        )


def choose(tell: Callable[[str], None]) -> Source:
    """Decide which, build the lab's own where that is it, and note it for the lab's processes."""
    if run("curl", "-fsSI", "--max-time", "5", _ASKED, check=False):
        found = Source(str(REPOSITORY / "files/elastic/elastic.asc"))
    else:
        root = repository.ensure(ELASTIC, tell)
        found = Source(str(root / repository.KEY), str(root))
    _SAVED.parent.mkdir(parents=True, exist_ok=True)
    _SAVED.write_text(json.dumps(asdict(found)))
    return found


def saved() -> Source:
    """What was decided when the lab was started."""
    return Source(**json.loads(_SAVED.read_text()))
