"""Settings of the lab's Filebeat: what it takes, and what it says to what it doesn't."""

import json

import pytest

from lab.elastic import settings
from lab.elastic.filebeat.configuration import main_file, with_input_files
from lab.elastic.settings import SettingsError

OUTPUT = {"output.logstash": {"hosts": "logs.internal"}}
INPUT = {"type": "filestream", "id": "app", "paths": ["/var/log/app/*.log"]}


def read(tmp_path, *inputs, **main):
    path = tmp_path / "filebeat.yml"
    path.write_text(json.dumps({**OUTPUT, "filebeat.inputs": list(inputs), **main}))
    return with_input_files(main_file(path), tmp_path)


def test_the_defaults_are_those_of_the_reference(tmp_path):
    found = read(tmp_path, INPUT)
    assert found.main["output.logstash.hosts"] == ["logs.internal"]
    assert (found.main["queue.mem.flush.timeout"], found.main["output.logstash.backoff.max"]) == (10, 60)
    (source,) = found.inputs
    assert source["file_identity"] == "native"
    assert (source["prospector.scanner.check_interval"], source["backoff.init"]) == (10, 2)
    assert source["message_max_bytes"] == 10_485_760


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "log", "paths": ["/x"]}, "Log input is deprecated. Use Filestream input instead."),
        ({**INPUT, "paths": []}, "no path is configured"),
        ({**INPUT, "tail_files": True}, "'tail_files' is no setting of Filebeat 8.19, input filestream"),
        ({**INPUT, "id": ""}, "has no id"),
        ({**INPUT, "backoff.init": "soon"}, 'time: invalid duration "soon"'),
        (
            {**INPUT, "file_identity.fingerprint": None},
            "fingerprint file identity can be used only when fingerprint is enabled in the scanner",
        ),
        (
            {**INPUT, "prospector.scanner.fingerprint": {"enabled": True, "length": 63}},
            "fingerprint size 63 bytes cannot be smaller than 64 bytes",
        ),
        ({**INPUT, "parsers": [{"multiline": {}}]}, "no parser but ndjson"),
        ({**INPUT, "parsers": [{"ndjson": {"keys_under_root": True}}]}, "'keys_under_root' is no setting"),
        ({"type": "udp"}, "no input of type 'udp'"),
    ],
)
def test_an_input_that_is_refused(tmp_path, given, said):
    with pytest.raises(SettingsError, match=said.replace("(", r"\(")):
        read(tmp_path, given)


@pytest.mark.parametrize(
    ("main", "said"),
    [
        ({"output.logstash": None}, "no hosts configured"),
        ({"output.elasticsearch.hosts": ["x"]}, "no output but logstash"),
        ({"filebeat.prospectors": []}, "setting 'filebeat.prospectors' has been removed"),
        ({"filebeat.spool_size": 1}, "'filebeat.spool_size' is no setting of Filebeat 8.19"),
        ({"output.logstash.tls": {"enabled": True}}, "'output.logstash.tls.enabled' is no setting"),
        ({"output.logstash.compression_level": 10}, "requires value <= 9"),
        ({"output.logstash.compression_level": -1}, "expected a number"),
        ({"logging.level": "warn"}, "'logging.level': invalid level 'warn'"),
        ({"logging": {"level": "trace"}}, "invalid level 'trace'"),
        ({"logging.level": ["info"]}, "expected a text"),
        ({"output.logstash.ssl.certificate": "/x"}, "key file not configured"),
        ({"queue.mem.events": "${HOW_MANY_NOBODY_SAYS}"}, "no variable 'HOW_MANY_NOBODY_SAYS'"),
        ({"filebeat.inputs": []}, "no modules or inputs enabled and configuration reloading disabled"),
    ],
)
def test_a_file_that_is_refused(tmp_path, main, said):
    with pytest.raises(SettingsError, match=said):
        read(tmp_path, INPUT, **main)


@pytest.mark.parametrize("level", ["error", "warning", "info", "debug", "Info"])
def test_the_levels_of_its_own_log_in_any_case(tmp_path, level):
    found = read(tmp_path, INPUT, **{"logging.level": level})
    assert found.main["logging.level"] == level.lower()


def test_two_inputs_of_one_id_are_refused_when_it_starts(tmp_path):
    (tmp_path / "two.yml").write_text(json.dumps([INPUT]))
    with pytest.raises(SettingsError, match='inputs with duplicated IDs: "app"'):
        read(tmp_path, INPUT, **{"filebeat.config.inputs": {"enabled": True, "path": "two.yml"}})


def test_a_file_that_others_may_write_is_refused(tmp_path):
    (tmp_path / "filebeat.yml").write_text("{}")
    (tmp_path / "filebeat.yml").chmod(0o666)
    with pytest.raises(
        SettingsError, match=r'can only be writable by the owner but the permissions are "-rw-rw'
    ):
        main_file(tmp_path / "filebeat.yml")


def test_dotted_and_nested_names_are_the_same():
    nested = {"a": {"b": 1, "c": {"d": 2}}}
    assert (
        settings.expand({"a.b": 1, "a": {"c.d": 2}}) == settings.expand({"a.c": {"d": 2}, "a.b": 1}) == nested
    )
    for wrong in ({"a": 1, "a.b": 2}, {"a.b": 1, "a.b.c": 2}, {"a.b": 1, "a": {"b": 2}}):
        with pytest.raises(ValueError, match="cannot expand"):
            settings.expand(wrong)


@pytest.mark.parametrize(
    ("text", "seconds"), [("5s", 5), ("1m30s", 90), ("250ms", 0.25), (3, 3), ("1.5h", 5400), ("0", 0)]
)
def test_durations(text, seconds):
    assert settings.duration(text) == seconds
