"""What the options of the Elasticsearch output may say, with each other and of TLS.

Source: github.com/logstash-plugins/logstash-output-elasticsearch 12,
lib/logstash/plugin_mixins/elasticsearch/api_configs.rb (what each allows), common.rb (accounts),
lib/logstash/outputs/elasticsearch/data_stream_support.rb (what goes with data streams).
"""

import ssl
from typing import Any

from lab.elastic.logstash.language import LanguageError

_SHARED = {
    "hosts",
    "user",
    "password",
    "api_key",
    "document_id",
    "timeout",
    "compression_level",
    "silence_errors_in_log",
}
_SHARED |= {"retry_initial_interval", "retry_max_interval", "id", "data_stream", "action"}
_LEVELS = list(range(10))
_PROTOCOLS = {
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


def check(options: dict[str, Any]) -> None:
    """Raise LanguageError for values that the output does not take, and for options that exclude another."""
    level = float(options.get("compression_level", 1))
    _one_of("compression_level", int(level) if level.is_integer() else level, _LEVELS)
    for protocol in options.get("ssl_supported_protocols", []):
        _one_of("ssl_supported_protocols", protocol, list(_PROTOCOLS))
    wrong = [
        name for name in options if name not in _SHARED and not name.startswith(("data_stream_", "ssl_"))
    ]
    if options.get("action", "create") != "create":
        wrong.append("action")
    if options.get("data_stream", "auto") == "false" or (wrong and options.get("data_stream") != "true"):
        raise LanguageError("the lab's stand-in for Logstash writes to data streams only")
    if wrong:
        raise LanguageError(f"Invalid data stream configuration: {wrong}")
    if "api_key" in options and "user" in options:
        raise LanguageError(
            "Multiple authentication options are specified, "
            "please only use one of user/password, cloud_auth or api_key"
        )


def tls_context(options: dict[str, Any]) -> ssl.SSLContext:
    """TLS of a client by the options ssl_*, once they are checked."""
    try:
        authorities = options.get("ssl_certificate_authorities", [])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if authorities else ssl.create_default_context()
        for path in authorities:
            context.load_verify_locations(path)
    except OSError as error:
        raise LanguageError(f"ssl_certificate_authorities: {error}") from error
    if options.get("ssl_verification_mode") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if versions := [_PROTOCOLS[each] for each in options.get("ssl_supported_protocols", [])]:
        context.minimum_version, context.maximum_version = min(versions), max(versions)
    return context


def _one_of(name: str, value: Any, allowed: list[Any]) -> None:
    if value not in allowed:
        raise LanguageError(
            f"Invalid setting for elasticsearch output plugin: {name}: "
            f"Expected one of {allowed}, got [{value!r}]"
        )
