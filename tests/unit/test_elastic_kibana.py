"""Settings of the lab's Kibana: what it says to what it doesn't take."""

import json

import pytest

from lab.elastic.kibana.__main__ import main
from lab.elastic.kibana.configuration import settings
from lab.elastic.settings import SettingsError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"server.prt": 1}, r'Unknown configuration key\(s\): "server.prt"\. Check for spelling errors'),
        ({"logging.dest": "x"}, r'Unknown configuration key\(s\): "logging.dest"'),
        (
            {"xpack.security.encryptionKey": "abc"},
            r"\[xpack.security\].encryptionKey\]: value has length \[3\] but",
        ),
        ({"elasticsearch.username": "elastic"}, 'value of "elastic" is forbidden'),
        (
            {"elasticsearch": {"username": "kibana", "serviceAccountToken": "x"}},
            'serviceAccountToken cannot be specified when "username" is also set',
        ),
        ({"server.publicBaseUrl": "logs.test"}, "expected URI with scheme"),
        (
            {"elasticsearch.ssl.verificationMode": "strict"},
            r"\[config validation of \[elasticsearch\]\.ssl\.verificationMode\]: types that failed",
        ),
        (
            {"logging.root.level": "warning"},
            r"\[config validation of \[logging\]\.root\.level\]: types that failed validation: "
            r"expected value to equal \[all\], \[fatal\], \[error\], \[warn\]",
        ),
        ({"logging": {"root": {"level": "INFO"}}}, "types that failed validation"),
        ({"logging.root.level": True}, "types that failed validation"),
    ],
)
def test_a_kibana_yml_that_is_refused(tmp_path, given, said):
    (tmp_path / "kibana.yml").write_text(json.dumps(given))
    with pytest.raises(SettingsError, match=said):
        settings(tmp_path / "kibana.yml")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("server.prt: 1", 64),
        ("logging.quiet: true", 64),
        ("server.port: x", 78),
        ("logging.root.level: loud", 1),
        ("{", 1),
    ],
)
def test_its_exit_code_tells_what_is_wrong(tmp_path, capsys, line, code):
    (tmp_path / "kibana.yml").write_text(line)
    assert main(["-c", str(tmp_path / "kibana.yml")]) == code
    assert capsys.readouterr().err.startswith("FATAL  Error: ")


@pytest.mark.parametrize("level", ["all", "fatal", "error", "warn", "info", "debug", "trace", "off"])
def test_the_levels_of_its_own_log(tmp_path, level):
    (tmp_path / "kibana.yml").write_text(f"logging.root.level: {level}\n")
    assert settings(tmp_path / "kibana.yml")["logging.root.level"] == level


def test_the_defaults_are_those_of_the_reference(tmp_path):
    (tmp_path / "kibana.yml").write_text("# nothing\n")
    found = settings(tmp_path / "kibana.yml")
    assert (found["server.host"], found["server.port"]) == ("localhost", 5601)
    assert found["elasticsearch.hosts"] == ["http://localhost:9200"]
