"""What kibana.yml says, checked against the settings of Kibana 8.19.

Sources: "Configure Kibana" of the 8.19 reference, and of github.com/elastic/kibana:
src/core/packages/elasticsearch/server-internal (elasticsearch_config.ts),
src/core/packages/logging/server-internal (logging_config.ts),
src/core/packages/config/server-internal (ensure_valid_configuration.ts).
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab.elastic.settings import (
    Setting,
    SettingsError,
    UnknownSettingError,
    WrongValueError,
    boolean,
    load,
    mapping,
    number,
    read,
    text,
    texts,
)

VERSION = "8.19.21"


def _key(value: Any) -> str:
    """An encryption key: at least 32 characters."""
    if len(str(value)) < 32:
        raise ValueError(f"value has length [{len(str(value))}] but it must have a minimum length of [32].")
    return str(value)


def _url(value: Any) -> str:
    if urlsplit(str(value)).scheme not in ("http", "https"):
        raise ValueError("expected URI with scheme [http|https].")
    return str(value)


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        # A bare off is false in YAML 1.1, and a text in Kibana's YAML.
        found = "off" if value is False else value
        if found not in allowed:
            expected = ", ".join(f"[{each}]" for each in allowed)
            raise ValueError(f"types that failed validation: expected value to equal {expected}")
        return str(found)

    return check


_SETTINGS = {
    "server.host": Setting(text, "localhost"),
    "server.port": Setting(number, 5601),
    "server.name": Setting(text),
    "server.publicBaseUrl": Setting(_url),
    "elasticsearch.hosts": Setting(texts, ["http://localhost:9200"]),
    "elasticsearch.username": Setting(text),
    "elasticsearch.password": Setting(text),
    "elasticsearch.serviceAccountToken": Setting(text),
    "elasticsearch.ssl.certificateAuthorities": Setting(texts, []),
    "elasticsearch.ssl.verificationMode": Setting(_one_of("none", "certificate", "full"), "full"),
    "xpack.security.encryptionKey": Setting(_key),
    "xpack.encryptedSavedObjects.encryptionKey": Setting(_key),
    "xpack.reporting.encryptionKey": Setting(_key),
    "path.data": Setting(text, "/var/lib/kibana"),
    "pid.file": Setting(text),
    "logging.appenders": Setting(mapping, {}, whole=True),
    "logging.root.level": Setting(
        _one_of("all", "fatal", "error", "warn", "info", "debug", "trace", "off"), "info"
    ),
    "logging.root.appenders": Setting(texts, []),
    "telemetry.enabled": Setting(boolean, True),
    "telemetry.optIn": Setting(boolean, True),
}
# Gone with 8.0: "Breaking changes" of its release notes.
_REMOVED = (
    "elasticsearch.url",
    "elasticsearch.preserveHost",
    "kibana.index",
    "logging.dest",
    "logging.quiet",
)


def settings(path: Path) -> dict[str, Any]:
    """Every setting; raises SettingsError in Kibana's words."""
    if not path.is_file():
        raise SettingsError(f"ENOENT: no such file or directory, open '{path}'")
    removed = {name: _unknown(name) for name in _REMOVED}
    try:
        found = read(load(path.read_text(), str(path)) or {}, _SETTINGS, "Kibana 8.19", removed)
    except SettingsError as error:
        if match := re.match(r"'([^']+)' is no setting", str(error)):
            raise UnknownSettingError(_unknown(match[1])) from error
        if str(error) in removed.values():
            raise UnknownSettingError(str(error)) from error
        if match := re.match(r"Kibana 8\.19: '((?:xpack\.)?\w+)\.([^']+)': (.*)", str(error)):
            # How it logs, it reads before everything else.
            kind = SettingsError if match[1] == "logging" else WrongValueError
            raise kind(f"[config validation of [{match[1]}].{match[2]}]: {match[3]}") from error
        raise
    if found["elasticsearch.username"] == "elastic":
        raise WrongValueError(
            '[config validation of [elasticsearch].username]: value of "elastic" is forbidden. '
            "This is a superuser account that cannot write to system indices that Kibana needs to function. "
            "Use a service account token instead."
        )
    if found["elasticsearch.serviceAccountToken"] and found["elasticsearch.username"]:
        raise WrongValueError(
            "[config validation of [elasticsearch].serviceAccountToken]: "
            'serviceAccountToken cannot be specified when "username" is also set.'
        )
    return found


def _unknown(name: str) -> str:
    return (
        f'Unknown configuration key(s): "{name}". '
        "Check for spelling errors and ensure that expected plugins are installed."
    )
