"""What logstash.yml says, checked against the settings of Logstash 8.19.

Source: "logstash.yml" of the 8.19 reference; logstash-core/lib/logstash/settings.rb (its message).
"""

import re
from pathlib import Path
from typing import Any

from lab.elastic.settings import Setting, SettingsError, boolean, load, number, read, size, text

VERSION = "8.19.21"


def _age(value: Any) -> float:
    """Seconds, from "3d" (dead_letter_queue.retain.age: d, h, m or s)."""
    match = re.fullmatch(r"(\d+)([dhms])", str(value))
    if not match:
        raise ValueError(f"expected a number and one of d, h, m, s, got {value!r}")
    return float(match[1]) * {"d": 86400, "h": 3600, "m": 60, "s": 1}[match[2]]


def _one_of(*allowed: str) -> Any:
    def check(value: Any) -> str:
        found = str(value).lower() if isinstance(value, bool) else value
        if found not in allowed:
            raise ValueError(f'Invalid value "{value}". Options are: {allowed}')
        return str(found)

    return check


_SETTINGS = {
    "node.name": Setting(text),
    "path.data": Setting(text, "/var/lib/logstash"),
    "path.logs": Setting(text, "/var/log/logstash"),
    "path.config": Setting(text),
    "path.queue": Setting(text),
    "path.dead_letter_queue": Setting(text),
    "pipeline.workers": Setting(number),
    "pipeline.batch.size": Setting(number, 125),
    "pipeline.batch.delay": Setting(number, 50),
    "pipeline.ordered": Setting(_one_of("auto", "true", "false"), "auto"),
    "pipeline.ecs_compatibility": Setting(_one_of("v8"), "v8"),
    "queue.type": Setting(_one_of("memory", "persisted"), "memory"),
    "queue.max_bytes": Setting(size, 2**30),
    "queue.page_capacity": Setting(size, 64 * 2**20),
    "queue.checkpoint.acks": Setting(number, 1024),
    "queue.checkpoint.writes": Setting(number, 1024),
    "queue.drain": Setting(_one_of("false"), "false"),
    "dead_letter_queue.enable": Setting(boolean, False),
    "dead_letter_queue.max_bytes": Setting(size, 2**30),
    "dead_letter_queue.flush_interval": Setting(number, 5000),
    "dead_letter_queue.storage_policy": Setting(_one_of("drop_newer", "drop_older"), "drop_newer"),
    "dead_letter_queue.retain.age": Setting(_age),
    "api.enabled": Setting(boolean, True),
    "api.http.host": Setting(text, "127.0.0.1"),
    "api.http.port": Setting(number, 9600),
    "log.level": Setting(_one_of("fatal", "error", "warn", "info", "debug", "trace"), "info"),
    "log.format": Setting(_one_of("plain", "json"), "plain"),
    "config.reload.automatic": Setting(_one_of("false"), "false"),
    "allow_superuser": Setting(boolean, False),
    "xpack.monitoring.enabled": Setting(boolean, False),
}


def settings(folder: Path) -> dict[str, Any]:
    """Every setting; raises SettingsError."""
    path = folder / "logstash.yml"
    if not path.is_file():
        raise SettingsError(f"Unable to read {path}: it is not there")
    try:
        found = read(load(path.read_text(), str(path)) or {}, _SETTINGS, "Logstash 8.19", {})
    except SettingsError as error:
        if match := re.match(r"'([^']+)' is no setting", str(error)):
            raise SettingsError(
                f"Setting \"{match[1]}\" doesn't exist (or the lab's stand-in does not have it). "
                "Please check if you haven't made a typo."
            ) from error
        raise
    if found["queue.page_capacity"] > found["queue.max_bytes"]:
        raise SettingsError(
            "Invalid configuration, 'queue.page_capacity' must be less than or equal to 'queue.max_bytes'"
        )
    return found


def pipeline_text(folder: Path, found: dict[str, Any], given: str | None) -> str:
    """The text of the pipeline `main`: all files of the pattern, in their names' order.

    `given`: the pattern of the command line. Without it pipelines.yml names it: the stand-in takes one
    pipeline.
    """
    pattern = given or found["path.config"] or _from_pipelines(folder)
    path = Path(pattern)
    files = sorted(path.parent.glob(f"{path.name}/*" if path.is_dir() else path.name))
    texts = [each.read_text() for each in files if each.is_file()]
    if not texts:
        raise SettingsError(f"No config files found in path {pattern}")
    return "\n".join(texts)


def _from_pipelines(folder: Path) -> str:
    path = folder / "pipelines.yml"
    given = load(path.read_text(), str(path)) if path.is_file() else None
    if not isinstance(given, list) or len(given) != 1 or set(given[0]) != {"pipeline.id", "path.config"}:
        raise SettingsError(
            f"{path}: the lab's stand-in takes one pipeline, with pipeline.id and path.config"
        )
    return str(given[0]["path.config"])
