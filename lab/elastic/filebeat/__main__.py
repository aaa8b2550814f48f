"""filebeat: the commands of the stand-in that corral uses, by the names and flags of the real one.

Sources: "Filebeat command reference" and "Directory layout" of the 8.19 reference.
"""

import argparse
import fcntl
import json
import signal
import sys
import time
from pathlib import Path

from lab.elastic.filebeat import configuration, events
from lab.elastic.filebeat.configuration import Configuration
from lab.elastic.filebeat.output import Output
from lab.elastic.filebeat.reference import VERSION
from lab.elastic.filebeat.shipper import Shipper
from lab.elastic.settings import SettingsError

_PATHS = {
    "home": "/usr/share/filebeat",
    "config": "/etc/filebeat",
    "data": "/var/lib/filebeat",
    "logs": "/var/log/filebeat",
}


def main() -> int:
    """Run one command; its exit code."""
    given = _arguments()
    try:
        if given.command == ["version"]:
            print(f"filebeat version {VERSION} (the lab's stand-in)")
            return 0
        found = _read(given)
        if given.command == ["test", "config"]:
            print("Config OK")
        elif given.command == ["test", "output"]:
            for line in Output(found.main, _log).test():
                print(line)
        else:
            _ship(found, given)
    except (SettingsError, OSError) as error:
        print(f"Exiting: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("filebeat", allow_abbrev=False)
    parser.add_argument("command", nargs="*", default=["run"])
    parser.add_argument("-c", "--c", default="filebeat.yml")
    parser.add_argument("-e", "--e", action="store_true")
    parser.add_argument("-E", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--environment")
    parser.add_argument("--strict.perms", dest="strict", default="true", choices=["true", "false"])
    for name, path in _PATHS.items():
        parser.add_argument(f"--path.{name}", dest=name, default=path)
    given = parser.parse_args()
    if given.command not in (["run"], ["version"], ["test", "config"], ["test", "output"]):
        parser.error(f"the lab's stand-in has no command {' '.join(given.command)!r}")
    return given


def _read(given: argparse.Namespace) -> Configuration:
    more = dict(each.partition("=")[::2] for each in given.settings)
    found = configuration.main_file(Path(given.config) / given.c, given.strict == "true", more)
    for name in _PATHS:
        setattr(given, name, found.main[f"path.{name}"] or getattr(given, name))
    for each in [found.main, *found.inputs]:
        events.check_processors(each["processors"])
    Output(found.main, _log)
    return found


def _ship(found: Configuration, given: argparse.Namespace) -> None:
    """Read and send until the process is ended; what is not acknowledged by then is read again."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    data = Path(given.data)
    data.mkdir(parents=True, exist_ok=True, mode=0o750)
    with (data / "filebeat.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                "data path already locked by another beat. "
                "Please make sure that multiple beats are not sharing the same data path (path.data)"
            ) from None
        found = configuration.with_input_files(found, Path(given.config), given.strict == "true")
        for each in found.inputs:
            events.check_processors(each["processors"])
        Shipper(found, data, _log).run()


def _log(message: str) -> None:
    line = {"log.level": "info", "@timestamp": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "message": message}
    print(json.dumps(line | {"service.name": "filebeat"}), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
