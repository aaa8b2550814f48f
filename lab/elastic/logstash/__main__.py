"""logstash: the flags of the stand-in that corral uses, by the names of the real one.

Source: "Running Logstash from the Command Line" of the 8.19 reference.
"""

import argparse
import fcntl
import os
import signal
import sys
import threading
import traceback
from datetime import datetime
from pathlib import Path
from typing import Any

from lab.elastic.logstash import api, configuration
from lab.elastic.logstash.configuration import VERSION
from lab.elastic.logstash.language import LanguageError
from lab.elastic.logstash.pipeline import Pipeline
from lab.elastic.settings import SettingsError


def main() -> int:
    """Check, or run until SIGTERM; the exit code."""
    given = _arguments()
    if given.version:
        print(f"logstash {VERSION} (the lab's stand-in)")
        return 0
    folder = Path(getattr(given, "path.settings"))
    try:
        found = configuration.settings(folder)
        found["path.data"] = getattr(given, "path.data") or found["path.data"]
        text = configuration.pipeline_text(folder, found, getattr(given, "path.config"))
        pipeline = Pipeline(text, found, _log)
        if getattr(given, "config.test_and_exit"):
            print("Configuration OK")
            _log("Using config.test_and_exit mode. Config Validation Result: OK. Exiting Logstash")
            return 0
        return _run(pipeline, found)
    except (LanguageError, SettingsError) as error:
        print(f"[FATAL] The given configuration is invalid. Reason: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"[FATAL] An unexpected error occurred! {error}", file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("logstash", allow_abbrev=False)
    parser.add_argument("--path.settings", default="/usr/share/logstash/config")
    parser.add_argument("--path.data")
    parser.add_argument("-f", "--path.config", dest="path.config")
    parser.add_argument("-t", "--config.test_and_exit", dest="config.test_and_exit", action="store_true")
    parser.add_argument("-V", "--version", action="store_true")
    return parser.parse_args()


def _run(pipeline: Pipeline, found: dict[str, Any]) -> int:
    data = Path(found["path.data"])
    data.mkdir(parents=True, exist_ok=True)
    with (data / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                "Logstash could not be started because there is already another instance using the "
                "configured data directory.  If you wish to run multiple instances, you must change "
                'the "path.data" setting.'
            ) from None
        signal.signal(signal.SIGTERM, lambda *_: pipeline.stop())
        # The signal finds this thread waiting, whatever the pipeline does.
        worker = threading.Thread(target=_work, args=(pipeline,), daemon=True)
        worker.start()
        if found["api.enabled"]:
            api.serve(found["api.http.host"], found["api.http.port"], pipeline)
        while worker.is_alive():
            worker.join(0.5)
    return 0


def _work(pipeline: Pipeline) -> None:
    try:
        pipeline.run()
    except BaseException:
        # systemd starts it again, and the queue on disk has what was being worked on.
        traceback.print_exc()
        os._exit(1)


def _log(message: str) -> None:
    print(f"[{datetime.now().isoformat(timespec='milliseconds')}] {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
