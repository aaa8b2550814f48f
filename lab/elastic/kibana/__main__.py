"""kibana: runs the stand-in by its kibana.yml.

Sources: "Configure Kibana" of the 8.19 reference (where that is); of github.com/elastic/kibana:
src/cli/serve/serve.js (flags), src/core/packages/config/server-internal (ensure_valid_configuration.ts).
"""

import argparse
import os
import signal
import socket
import sys
from pathlib import Path

from lab.elastic.kibana import configuration
from lab.elastic.kibana.configuration import VERSION
from lab.elastic.kibana.saved_objects import SavedObjects
from lab.elastic.kibana.server import Kibana
from lab.elastic.kibana.store import Store
from lab.elastic.settings import SettingsError, UnknownSettingError, WrongValueError

# Kibana's exit codes (ensure_valid_configuration.ts). What is wrong with its log, or with the whole file, it
# finds before it looks at all settings: then its code is 1.
_CODES = {UnknownSettingError: 64, WrongValueError: 78}


def main(words: list[str] | None = None) -> int:
    """Serve until SIGTERM; the exit code. `words`: of the command line, the program's own when None."""
    parser = argparse.ArgumentParser("kibana", allow_abbrev=False)
    parser.add_argument(
        "-c", "--config", default=f"{os.environ.get('KBN_PATH_CONF', '/etc/kibana')}/kibana.yml"
    )
    parser.add_argument("--version", action="store_true")
    given = parser.parse_args(words)
    if given.version:
        print(f"{VERSION} (the lab's stand-in)")
        return 0
    try:
        found = configuration.settings(Path(given.config))
        data = Path(found["path.data"])
        data.mkdir(parents=True, exist_ok=True)
        address = (found["server.host"], found["server.port"])
        name = found["server.name"] or socket.gethostname()
        server = Kibana(address, name, Store(found), SavedObjects(data / "saved_objects.ndjson"))
    except SettingsError as error:
        print(f"FATAL  Error: {error}", file=sys.stderr)
        return _CODES.get(type(error), 1)
    except OSError as error:
        print(f"FATAL  Error: {error}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"Kibana is now available at http://{address[0]}:{address[1]}", flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
