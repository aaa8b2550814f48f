"""Options of the plugins that the stand-in has, and what Logstash says to wrong and removed ones.

Sources, of github.com: logstash-plugins/logstash-input-beats 7 (lib/logstash/inputs/beats.rb),
logstash-output-elasticsearch 12 (lib/logstash/plugin_mixins/elasticsearch/api_configs.rb,
lib/logstash/outputs/elasticsearch/data_stream_support.rb),
logstash-filter-{dissect,json,date,mutate,fingerprint,drop}; elastic/logstash,
logstash-core/lib/logstash/config/mixin.rb. 8.19 still takes the obsolete options of both, and warns; the
stand-in refuses them as 9 does.
"""

from collections.abc import Callable
from typing import Any

from lab.elastic.logstash.language import LanguageError, Plugin, substituted

Check = Callable[[Any], Any]


def _text(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str | int | float):
        raise ValueError(f"Expected string, got {value!r}")
    return str(value)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"Expected number, got {value!r}") from None


def _boolean(value: Any) -> bool:
    if value not in ("true", "false"):
        raise ValueError(f"Expected boolean 'true' or 'false', got {value!r}")
    return bool(value == "true")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _hash(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"Expected hash, got {value!r}")
    return value


def _one_of(*allowed: str) -> Check:
    def check(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"Expected one of {list(allowed)}, got [{value!r}]")
        return str(value)

    return check


def _identifier(value: Any) -> str:
    if not value or len(str(value)) > 100 or set(str(value)) & set('\\/*?"<>| ,#:'):
        raise ValueError(f"Invalid characters detected, or none, or too many: {value!r}")
    return str(value)


_EVERY: dict[str, Check] = {"id": _text, "add_field": _hash, "enable_metric": _boolean}
_FILTER: dict[str, Check] = _EVERY | {"add_tag": _list, "remove_tag": _list, "remove_field": _list}
_OPTIONS: dict[tuple[str, str], dict[str, Check]] = {
    ("input", "beats"): _EVERY
    | {
        "host": _text,
        "port": _number,
        "tags": _list,
        "type": _text,
        "ssl_enabled": _boolean,
        "ssl_certificate": _text,
        "ssl_key": _text,
        "ssl_certificate_authorities": _list,
        "ssl_client_authentication": _one_of("none", "optional", "required"),
        "ssl_supported_protocols": _list,
        "ssl_handshake_timeout": _number,
        "client_inactivity_timeout": _number,
        "enrich": _list,
        "ecs_compatibility": _one_of("disabled", "v1", "v8"),
    },
    ("filter", "dissect"): _FILTER | {"mapping": _hash, "tag_on_failure": _list},
    ("filter", "json"): _FILTER
    | {"source": _text, "target": _text, "skip_on_invalid_json": _boolean, "tag_on_failure": _list},
    ("filter", "date"): _FILTER
    | {"match": _list, "target": _text, "timezone": _text, "tag_on_failure": _list},
    ("filter", "mutate"): _FILTER
    | {"rename": _hash, "update": _hash, "replace": _hash, "lowercase": _list, "copy": _hash}
    | {"tag_on_failure": _text},
    ("filter", "fingerprint"): _FILTER
    | {
        "source": _list,
        "target": _text,
        "method": _one_of("SHA1", "SHA256", "SHA512", "MD5"),
        "key": _text,
        "concatenate_sources": _boolean,
    },
    ("filter", "drop"): _FILTER,
    ("output", "elasticsearch"): {
        "id": _text,
        "hosts": _list,
        "user": _text,
        "password": _text,
        "api_key": _text,
        "ssl_enabled": _boolean,
        "ssl_certificate_authorities": _list,
        "ssl_verification_mode": _one_of("full", "none"),
        "ssl_supported_protocols": _list,
        "data_stream": _one_of("true", "false", "auto"),
        "data_stream_type": _one_of("logs", "metrics", "synthetics", "traces"),
        "data_stream_dataset": _identifier,
        "data_stream_namespace": _identifier,
        "data_stream_sync_fields": _boolean,
        "data_stream_auto_routing": _boolean,
        "action": _text,
        "document_id": _text,
        "index": _text,
        "manage_template": _boolean,
        "timeout": _number,
        "compression_level": _number,
        "retry_initial_interval": _number,
        "retry_max_interval": _number,
        "silence_errors_in_log": _list,
    },
}
_REQUIRED = {("input", "beats"): ["port"], ("filter", "json"): ["source"], ("filter", "date"): ["match"]}
_OBSOLETE = {
    ("input", "beats"): {
        "ssl": "Use 'ssl_enabled' instead.",
        "ssl_peer_metadata": "Use 'enrich' instead.",
        "ssl_verify_mode": "Use 'ssl_client_authentication' instead.",
        "cipher_suites": "Use 'ssl_cipher_suites' instead.",
        "tls_min_version": "Use 'ssl_supported_protocols' instead.",
        "tls_max_version": "Use 'ssl_supported_protocols' instead.",
    },
    ("output", "elasticsearch"): {
        "ssl": "Set 'ssl_enabled' instead.",
        "ssl_certificate_verification": "Set 'ssl_verification_mode' instead.",
        "cacert": "Set 'ssl_certificate_authorities' instead.",
        "truststore": "Set 'ssl_truststore_path' instead.",
        "keystore": "Set 'ssl_keystore_path' instead.",
        "truststore_password": "Use 'ssl_truststore_password' instead.",
        "keystore_password": "Set 'ssl_keystore_password' instead.",
    },
}


def checked(plugin: Plugin) -> dict[str, Any]:
    """The plugin's options, converted; raises LanguageError in Logstash's words."""
    kind = (plugin.section, plugin.name)
    if kind not in _OPTIONS:
        raise LanguageError(
            f"Couldn't find any {plugin.section} plugin named '{plugin.name}' "
            "(or the lab's stand-in for Logstash does not have it)"
        )
    found = {}
    for name, given in plugin.options.items():
        if said := _OBSOLETE.get(kind, {}).get(name):
            raise LanguageError(
                f"The setting `{name}` in plugin `{plugin.name}` is obsolete "
                f"and is no longer available. {said}"
            )
        if name not in _OPTIONS[kind]:
            raise LanguageError(f"Unknown setting '{name}' for {plugin.name}")
        try:
            found[name] = _OPTIONS[kind][name](substituted(given))
        except ValueError as error:
            raise LanguageError(
                f"Invalid setting for {plugin.name} {plugin.section} plugin: {name}: {error}"
            ) from error
    if missing := [name for name in _REQUIRED.get(kind, []) if name not in found]:
        raise LanguageError(
            f"Missing a required setting for the {plugin.name} {plugin.section} plugin: {missing[0]}"
        )
    return found
