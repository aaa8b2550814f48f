"""The language of Logstash's pipelines, its options and its filters."""

import json
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.elastic.logstash import configuration, filters
from lab.elastic.logstash.conditions import holds
from lab.elastic.logstash.elasticsearch_options import tls_context
from lab.elastic.logstash.event import Event, joda
from lab.elastic.logstash.language import Branch, Condition, Field, LanguageError, Plugin, Regexp
from lab.elastic.logstash.options import checked
from lab.elastic.logstash.parser import parse
from lab.elastic.logstash.pipeline import Pipeline
from lab.elastic.settings import SettingsError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("tags"), inner),
    max_leaves=8,
)


def condition(text):
    (branch,) = parse(f"filter {{ if {text} {{ drop {{ }} }} }}")["filter"]
    return branch.ways[0][0]


def test_a_pipeline_is_read():
    text = """
    input { beats { port => 5044 codec => plain { charset => "UTF-8" } } } # a comment
    filter {
      if [a][b] == "x" and !([n] > 1) { drop {} }
      else if "y" in [tags] or [m] =~ /^a\\/b/ { mutate { add_tag => ["one", 'two'] } }
      else { mutate { rename => { "a" => "b" "[c][d]" => "e" } } }
    }
    """
    (beats,), (branch,) = (parse(text)[name] for name in ("input", "filter"))
    assert beats == Plugin(
        "input", "beats", {"port": 5044, "codec": Plugin("codec", "plain", {"charset": "UTF-8"})}
    )
    first = Condition(
        "and",
        (
            Condition("==", (Field("[a][b]"), "x")),
            Condition("not", (Condition(">", (Field("[n]"), 1)),)),
        ),
    )
    second = Condition(
        "or", (Condition("in", ("y", Field("[tags]"))), Condition("=~", (Field("[m]"), Regexp("^a/b"))))
    )
    assert branch == Branch(
        (
            (first, (Plugin("filter", "drop", {}),)),
            (second, (Plugin("filter", "mutate", {"add_tag": ["one", "two"]}),)),
            (None, (Plugin("filter", "mutate", {"rename": {"a": "b", "[c][d]": "e"}}),)),
        )
    )


@pytest.mark.parametrize(
    "wrong",
    ["input {", "nonsense {}", "input { beats { port 5044 } }", "filter { if { drop {} } }", "input { § }"],
)
def test_what_is_no_pipeline_is_refused_with_its_place(wrong):
    with pytest.raises(LanguageError, match=r"Expected one of \[.*\] at line 1, column \d+"):
        parse(wrong)


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("[level] == 'error'", True),
        ("[level] != 'error'", False),
        ("[none]", False),
        ("![none]", True),
        ("[n] >= 3 and [n] < 4", True),
        ("'a' in [tags] and 'z' not in [tags]", True),
        ("[level] in ['warn', 'error']", True),
        ("[message] =~ /wor/ and [message] !~ 'x$'", True),
        ("[level] > 3", False),
        ("([none] or [n]) and [level] == 'error'", True),
    ],
)
def test_conditions(text, true):
    event = Event({"level": "error", "n": 3, "tags": ["a", "b"], "message": "hello world"})
    assert holds(condition(text), event) is true


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "beats { port => 1 ssl => true }",
            "`ssl` in plugin `beats` is obsolete and is no longer available. Use",
        ),
        ("beats { port => 1 cipher_suites => [] }", "Use 'ssl_cipher_suites' instead"),
        ("beats { port => 1 congestion_threshold => 1 }", "Unknown setting 'congestion_threshold' for beats"),
        ("beats { host => 'x' }", "Missing a required setting for the beats input plugin: port"),
        ("beats { port => 1 ssl_enabled => maybe }", "Expected boolean"),
        ("beats { port => 1 ssl_client_authentication => force_peer }", "Expected one of"),
        ("kafka { }", "Couldn't find any input plugin named 'kafka'"),
    ],
)
def test_options_that_are_refused(text, said):
    (plugin,) = parse(f"input {{ {text} }}")["input"]
    with pytest.raises(LanguageError, match=said):
        checked(plugin)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("cacert => '/x'", "Set 'ssl_certificate_authorities' instead"),
        ("index => 'x' data_stream => 'true'", r"Invalid data stream configuration: \['index'\]"),
        (
            "manage_template => false data_stream => 'true'",
            r"Invalid data stream configuration: \['manage_template'\]",
        ),
        ("action => 'index' data_stream => 'true'", "Invalid data stream configuration"),
        ("data_stream_dataset => 'a/b'", "Invalid characters detected"),
        ("index => 'x'", "writes to data streams only"),
        ("user => 'a' api_key => 'b'", "Multiple authentication options are specified"),
        (
            "ssl_supported_protocols => ['TLSv1.3', 'TLSv1']",
            r"ssl_supported_protocols: Expected one of \['TLSv1.1', 'TLSv1.2', 'TLSv1.3'\], got \['TLSv1'\]",
        ),
        ("ssl_supported_protocols => 'SSLv3'", r"got \['SSLv3'\]"),
        ("compression_level => 10", r"compression_level: Expected one of \[0, 1, .*, 9\], got \[10\]"),
        ("compression_level => -1", "compression_level: Expected one of"),
        ("compression_level => 1.5", "compression_level: Expected one of"),
    ],
)
def test_an_output_that_is_refused(options, said):
    with pytest.raises(LanguageError, match=said):
        Pipeline(f"input {{ beats {{ port => 1 }} }} output {{ elasticsearch {{ {options} }} }}", {}, print)


@pytest.mark.parametrize("level", range(10))
def test_the_levels_of_an_outputs_compression(level):
    options = f"compression_level => {level}"
    Pipeline(f"input {{ beats {{ port => 1 }} }} output {{ elasticsearch {{ {options} }} }}", {}, print)


# Python warns of 1.1, and so does Logstash: it is there for who must.
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
@pytest.mark.parametrize(
    ("protocols", "least", "most"),
    [
        (["TLSv1.3"], "TLSv1_3", "TLSv1_3"),
        (["TLSv1.2"], "TLSv1_2", "TLSv1_2"),
        (["TLSv1.3", "TLSv1.2"], "TLSv1_2", "TLSv1_3"),
        (["TLSv1.1", "TLSv1.2"], "TLSv1_1", "TLSv1_2"),
    ],
)
def test_an_output_speaks_the_tls_that_it_is_told(protocols, least, most):
    context = tls_context({"ssl_supported_protocols": protocols})
    assert (context.minimum_version.name, context.maximum_version.name) == (least, most)


def test_an_output_that_is_told_no_tls_speaks_what_python_does():
    usual, context = ssl.create_default_context(), tls_context({})
    assert (context.minimum_version, context.maximum_version) == (
        usual.minimum_version,
        usual.maximum_version,
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"queue.typ": "x"}, 'Setting "queue.typ" doesn\'t exist'),
        ({"queue.type": "disk"}, 'Invalid value "disk"'),
        ({"queue.max_bytes": "1mb"}, "must be less than or equal to"),
        ({"dead_letter_queue.retain.age": 3}, "expected a number and one of"),
    ],
)
def test_a_logstash_yml_that_is_refused(tmp_path, given, said):
    (tmp_path / "logstash.yml").write_text(json.dumps(given))
    with pytest.raises(SettingsError, match=said):
        configuration.settings(tmp_path)


def run(text, **fields):
    (plugin,) = parse(f"filter {{ {text} }}")["filter"]
    event = Event({"@timestamp": "2026-11-26T00:00:00Z", **fields})
    filters.build(plugin.name, checked(plugin))(event)
    return {name: value for name, value in event.data.items() if name != "@version"}


NOW = "2026-11-26T00:00:00.000Z"


def test_json_below_a_target_and_at_the_root():
    text = '{"a": 1, "@timestamp": "2026-01-02T03:04:05.678+01:00"}'
    assert run("json { source => message target => '[x][y]' }", message='{"a": 1}') == {
        "@timestamp": NOW,
        "message": '{"a": 1}',
        "x": {"y": {"a": 1}},
    }
    assert run("json { source => message remove_field => message }", message=text) == {
        "@timestamp": "2026-01-02T02:04:05.678Z",
        "a": 1,
    }
    for wrong in ("no", "[1]", "NaN"):
        assert run("json { source => message add_tag => done }", message=wrong) == {
            "@timestamp": NOW,
            "message": wrong,
            "tags": ["_jsonparsefailure"],
        }


@pytest.mark.parametrize(
    ("match", "value", "moment"),
    [
        ("ISO8601", "2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.123456Z"),
        ("ISO8601", "2026-01-02T03:04:05", "2026-01-02T03:04:05.000Z"),
        ("UNIX", 0.5, "1970-01-01T00:00:00.500Z"),
        ("UNIX_MS", "1500", "1970-01-01T00:00:01.500Z"),
        ("yyyy-MM-dd HH:mm:ss.SSS Z", "2026-01-02 03:04:05.678 +0100", "2026-01-02T02:04:05.678Z"),
        ("dd/MMM/yyyy'T'HH:mm:ss", "02/Jan/2026T03:04:05", "2026-01-02T03:04:05.000Z"),
    ],
)
def test_date(match, value, moment):
    assert run(f'date {{ match => ["t", "nonsense", "{match}"] }}'.replace('"nonsense", ', ""), t=value) == {
        "@timestamp": moment,
        "t": value,
    }
    failed = run(f'date {{ match => ["t", "{match}"] }}', t="yesterday")
    assert failed == {"@timestamp": NOW, "t": "yesterday", "tags": ["_dateparsefailure"]}


def test_a_pattern_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="does not know 'QQ'"):
        joda("yyyy QQ")


def test_mutate_and_fingerprint():
    assert run("mutate { lowercase => [a, b, c] }", a="ÄB", b=["Xy", 1], d="D") == {
        "@timestamp": NOW,
        "a": "äb",
        "b": ["xy", 1],
        "d": "D",
    }
    assert run("mutate { rename => { a => '[b][c]' } add_field => { d => '%{[b][c]}-%{none}' } }", a=[1]) == {
        "@timestamp": NOW,
        "b": {"c": [1]},
        "d": "[1]-%{none}",
    }
    options = "source => [b, a] concatenate_sources => true method => SHA256 target => id"
    first = run(f"fingerprint {{ {options} }}", a="1", b={"x": 2})
    assert first["id"] == run(f"fingerprint {{ {options} }}", b={"x": 2}, a="1")["id"]
    assert len(first["id"]) == 64


@given(st.dictionaries(st.text(min_size=1), JSON), JSON)
def test_no_event_breaks_a_filter(fields, inner):
    text = """filter {
      json { source => "message" }
      date { match => ["[a][t]", "ISO8601", "UNIX_MS"] }
      mutate { rename => { "[a][b]" => "[c][d]" } copy => { "c" => "e" } }
      mutate { add_field => { "[tags][x]" => "%{a}" } }
      fingerprint { source => ["[host][name]", "message"] concatenate_sources => true }
      mutate { add_tag => "z" remove_tag => "y" replace => { "[a][b][c]" => "%{[c][d]}" } }
    }"""
    event = Event({**fields, "message": json.dumps(inner)})
    for plugin in parse(text)["filter"]:
        filters.build(plugin.name, checked(plugin))(event)
    json.dumps(event.data)
