"""The settings of Filebeat 8.19 that the stand-in knows, their defaults, and what it says to removed ones.

Sources: "Configure Filebeat" of the 8.19 reference, filebeat.reference.yml, and of github.com/elastic/beats:
filebeat/input/filestream/config.go, fswatch.go, libbeat/outputs/logstash/config.go,
libbeat/logp/level.go (its message).
"""

from typing import Any

from lab.elastic.settings import Setting, boolean, duration, listing, mapping, number, text, texts

VERSION = "8.19.21"
PRODUCT = "Filebeat 8.19"
# sha256's block size: filestream/fswatch.go
SHORTEST_FINGERPRINT = 64


def _level(value: Any) -> str:
    """How much Filebeat says: the levels of its reference; its code takes `critical` too, for old files."""
    found = text(value).lower()
    if found not in ("error", "warning", "info", "debug"):
        raise ValueError(f"invalid level '{found}'")
    return found


FILE = {
    "name": Setting(text),
    "tags": Setting(texts, []),
    "fields": Setting(mapping, {}, whole=True),
    "fields_under_root": Setting(boolean, False),
    "processors": Setting(listing, []),
    "path.home": Setting(text),
    "path.config": Setting(text),
    "path.data": Setting(text),
    "path.logs": Setting(text),
    "filebeat.inputs": Setting(listing, []),
    "filebeat.config.inputs.enabled": Setting(boolean),
    "filebeat.config.inputs.path": Setting(text),
    "filebeat.registry.path": Setting(text, "registry"),
    "filebeat.registry.file_permissions": Setting(text, "0600"),
    "filebeat.registry.flush": Setting(duration, 1.0),
    "filebeat.shutdown_timeout": Setting(duration, 0.0),
    "queue.mem.events": Setting(number, 3200),
    "queue.mem.flush.min_events": Setting(number, 1600),
    "queue.mem.flush.timeout": Setting(duration, 10.0),
    "logging.level": Setting(_level, "info"),
    "logging.to_files": Setting(boolean, True),
    "logging.to_stderr": Setting(boolean, False),
    "logging.metrics.enabled": Setting(boolean, True),
    "logging.files.path": Setting(text),
    "logging.files.name": Setting(text),
    "logging.files.keepfiles": Setting(number, 7),
    "logging.files.permissions": Setting(text, "0600"),
    "output.logstash.enabled": Setting(boolean, True),
    "output.logstash.hosts": Setting(texts, []),
    "output.logstash.compression_level": Setting(number, 3),
    "output.logstash.bulk_max_size": Setting(number, 2048),
    "output.logstash.timeout": Setting(duration, 30.0),
    "output.logstash.backoff.init": Setting(duration, 1.0),
    "output.logstash.backoff.max": Setting(duration, 60.0),
    "output.logstash.ssl.enabled": Setting(boolean),
    "output.logstash.ssl.verification_mode": Setting(text, "full"),
    "output.logstash.ssl.certificate_authorities": Setting(texts, []),
    "output.logstash.ssl.certificate": Setting(text),
    "output.logstash.ssl.key": Setting(text),
    "output.logstash.ssl.supported_protocols": Setting(texts, ["TLSv1.2", "TLSv1.3"]),
}
# cfgwarn.CheckRemoved6xSettings in filebeat/beater/filebeat.go
REMOVED = {
    name: f"setting '{name}' has been removed"
    for name in (
        "filebeat.prospectors",
        "filebeat.config.prospectors",
        "filebeat.registry_file",
        "filebeat.registry_file_permissions",
        "filebeat.registry_flush",
    )
}
_COMMON = {
    "type": Setting(text),
    "id": Setting(text, ""),
    "enabled": Setting(boolean, True),
    "tags": Setting(texts, []),
    "fields": Setting(mapping, {}, whole=True),
    "fields_under_root": Setting(boolean, False),
    "processors": Setting(listing, []),
}
INPUTS = {
    "filestream": _COMMON
    | {
        "paths": Setting(texts, []),
        "prospector.scanner.check_interval": Setting(duration, 10.0),
        "prospector.scanner.exclude_files": Setting(texts, []),
        "prospector.scanner.symlinks": Setting(boolean, False),
        "prospector.scanner.fingerprint.enabled": Setting(boolean, False),
        "prospector.scanner.fingerprint.offset": Setting(number, 0),
        "prospector.scanner.fingerprint.length": Setting(number, 1024),
        "file_identity.native": Setting(mapping, {}, whole=True),
        "file_identity.fingerprint": Setting(mapping, {}, whole=True),
        "parsers": Setting(listing, []),
        "backoff.init": Setting(duration, 2.0),
        "backoff.max": Setting(duration, 10.0),
        "close.on_state_change.inactive": Setting(duration, 300.0),
        "close.on_state_change.removed": Setting(boolean, True),
        "close.on_state_change.renamed": Setting(boolean, False),
        "clean_removed": Setting(boolean, True),
        "ignore_older": Setting(duration, 0.0),
        "message_max_bytes": Setting(number, 10 * 2**20),
        "encoding": Setting(text, "plain"),
    },
    "journald": _COMMON
    | {
        "units": Setting(texts, []),
        "syslog_identifiers": Setting(texts, []),
        "seek": Setting(text, "head"),
    },
}
NDJSON = {
    "target": Setting(text),
    "overwrite_keys": Setting(boolean, False),
    "expand_keys": Setting(boolean, False),
    "add_error_key": Setting(boolean, False),
    "ignore_decoding_error": Setting(boolean, False),
    "message_key": Setting(text, ""),
}
LOG_INPUT = "Log input is deprecated. Use Filestream input instead. (9.0 starts none.)"
