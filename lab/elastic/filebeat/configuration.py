"""What filebeat.yml and the files of inputs say, checked."""

import glob
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.elastic.filebeat.reference import (
    FILE,
    INPUTS,
    LOG_INPUT,
    NDJSON,
    PRODUCT,
    REMOVED,
    SHORTEST_FINGERPRINT,
)
from lab.elastic.settings import SettingsError, expand, listing, load, read, update


@dataclass
class Configuration:
    """`main`: every setting of filebeat.yml by dotted name; `inputs`: those of each enabled input."""

    main: dict[str, Any]
    inputs: list[dict[str, Any]] = field(default_factory=list)


def main_file(path: Path, strict: bool = True, more: Mapping[str, str] | None = None) -> Configuration:
    """What `filebeat test config` checks: filebeat.yml with the inputs in it, not the files that it names.

    `more`: settings of the command line, which hold before the file's.
    """
    given = _yaml(path, strict)
    if isinstance(given, dict):
        given = expand(given)
        for name, value in (more or {}).items():
            update(given, expand({name: load(value, "-E")}))
    outputs = given.get("output", {}) if isinstance(given, dict) else {}
    if not outputs:
        raise SettingsError("no outputs are defined, please define one under the output section")
    if list(outputs) != ["logstash"]:
        raise SettingsError(
            f"the lab's stand-in has no output but logstash, not {', '.join(sorted(outputs))}"
        )
    main = read(given, FILE, PRODUCT, REMOVED)
    if not main["output.logstash.hosts"]:
        raise SettingsError("no hosts configured for the Logstash output")
    if main["output.logstash.compression_level"] > 9:
        raise SettingsError("requires value <= 9 accessing 'output.logstash.compression_level'")
    if bool(main["output.logstash.ssl.certificate"]) != bool(main["output.logstash.ssl.key"]):
        # elastic-agent-libs, transport/tlscommon: ErrKeyUnspecified, ErrCertificateUnspecified
        missing = "key" if main["output.logstash.ssl.certificate"] else "certificate"
        raise SettingsError(f"{missing} file not configured accessing 'output.logstash.ssl'")
    found = Configuration(main, [_input(each) for each in main["filebeat.inputs"]])
    enabled = main["filebeat.config.inputs.enabled"]
    if enabled is False or (enabled is None and not main["filebeat.config.inputs.path"]):
        if not any(each["enabled"] for each in found.inputs):
            raise SettingsError(
                "no modules or inputs enabled and configuration reloading disabled. "
                "What files do you want me to watch?"
            )
        main["filebeat.config.inputs.path"] = None
    return found


def with_input_files(found: Configuration, folder: Path, strict: bool = True) -> Configuration:
    """All enabled inputs: what Filebeat reads when it starts. `folder`: what a relative path begins at."""
    inputs = list(found.inputs)
    if pattern := found.main["filebeat.config.inputs.path"]:
        for path in sorted(glob.glob(str(folder / pattern))):  # noqa: PTH207 (Path has none for absolute patterns)
            inputs += [_input(each) for each in listing(_yaml(Path(path), strict) or [])]
    enabled = [each for each in inputs if each["enabled"]]
    ids = [each["id"] for each in enabled if each["type"] == "filestream"]
    if double := sorted({f'"{each}"' for each in ids if ids.count(each) > 1}):
        raise SettingsError(
            f"filestream inputs validation error: filestream inputs with duplicated IDs: {','.join(double)}"
        )
    return Configuration(found.main, enabled)


def _input(given: Any) -> dict[str, Any]:
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "log":
        raise SettingsError(LOG_INPUT)
    if kind not in INPUTS:
        raise SettingsError(f"the lab's stand-in has no input of type {kind!r}")
    found = read(given, INPUTS[kind], f"{PRODUCT}, input {kind}", {})
    if not found["id"]:
        raise SettingsError(
            f"the input {kind} has no id: one is needed to tell its files from another input's"
        )
    if kind == "filestream":
        identities = list(expand(given).get("file_identity") or {})
        found["file_identity"] = identities[0] if identities else "native"
        found["parsers"] = [_parser(each) for each in found["parsers"]]
        _check_filestream(found)
    elif found["seek"] not in ("head", "tail"):
        raise SettingsError(f"the lab's stand-in seeks head or tail, not {found['seek']!r}")
    return found


def _check_filestream(found: dict[str, Any]) -> None:
    if not found["paths"]:
        raise SettingsError("no path is configured accessing 'filebeat.inputs'")
    if found["encoding"] not in ("plain", "utf-8"):
        raise SettingsError(f"the lab's stand-in reads plain and utf-8, not {found['encoding']!r}")
    printed, length = "prospector.scanner.fingerprint.enabled", found["prospector.scanner.fingerprint.length"]
    if found[printed] and length < SHORTEST_FINGERPRINT:
        raise SettingsError(
            "error while reading configuration of fingerprint: fingerprint size "
            f"{length} bytes cannot be smaller than {SHORTEST_FINGERPRINT} bytes"
        )
    if found["file_identity"] == "fingerprint" and not found[printed]:
        raise SettingsError(
            "fingerprint file identity can be used only when fingerprint is enabled in the scanner"
        )


def _parser(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or list(given) != ["ndjson"]:
        raise SettingsError(f"the lab's stand-in has no parser but ndjson, not {given!r}")
    return read(given["ndjson"] or {}, NDJSON, f"{PRODUCT}, parser ndjson", {})


def _yaml(path: Path, strict: bool) -> Any:
    """The file's YAML; it must be its user's or root's, and writable by no other (libbeat: strict.perms)."""
    try:
        state = path.stat()
        content = path.read_text()
    except OSError as error:
        raise SettingsError(f"error loading config file: open {path}: {error.strerror}") from error
    if strict and state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingsError(
            f'error loading config file: config file ("{path}") can only be writable by the owner '
            f'but the permissions are "{stat.filemode(state.st_mode)}" '
            f"(to fix the permissions use: 'chmod go-w {path}')"
        )
    return load(content, str(path))
