"""The log server's files before real programs: Elasticsearch, nginx; and Kibana's stand-in of the lab."""

import base64
import getpass
import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.local.elastic import ROOT, Program, until
from tests.local.log_server import PLANTER, declared, log_server, put_objects, written
from tests.local.ports import free_port

WRONG = {"path": "/_index_template/wrong", "body": {"index_patterns": []}}


@pytest.fixture(scope="module")
def node():
    with log_server() as node:
        yield node


def test_elasticsearch_knows_how_long_logs_stay_and_says_what_it_has_no_module_for(node):
    for _ in range(2):
        done = put_objects(node)
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "corral: this Elasticsearch has no module data-streams, so no /_data_stream/logs-*/_lifecycle",
        "corral: this Elasticsearch has no module repository-s3, so no /_snapshot/corral",
        "corral: this Elasticsearch has no module x-pack-slm, so no /_slm/policy/corral",
    ]
    _, answer = node.ask("GET", "/_index_template/corral-logs")
    (found,) = answer["index_templates"]
    template = found["index_template"]
    assert template["composed_of"] == ["logs-fields"]
    assert template["template"]["lifecycle"]["data_retention"] == "14d"


def test_what_elasticsearch_refuses_is_said(node):
    done = put_objects(node, WRONG, known=False)
    assert done.returncode == 1
    assert done.stdout.startswith("corral: Elasticsearch refuses /_index_template/wrong: 400: ")
    assert (node.folder.parent / "objects/started").read_text() == "", "lines would be stored without it"


def test_what_is_refused_of_later_things_keeps_no_line_from_being_stored(node):
    _, answer = node.ask("GET", "/_nodes/_local/plugins")
    (there,) = answer["nodes"].values()
    known = node.folder.parent / "objects/known"
    done = put_objects(node, WRONG | {"module": there["modules"][0]["name"]}, known=False)
    assert done.returncode == 1 and "refuses /_index_template/wrong" in done.stdout
    assert known.exists()
    assert (known.parent / "started").read_text() == "--no-block start logstash.service\n"


@contextmanager
def kibana(node, folder):
    """The lab's Kibana by the role's settings; its address."""
    port = free_port()
    own = {
        "server.port: 5601": f"server.port: {port}",
        "/srv/data/kibana": str(folder / "kibana"),
        "https://localhost:9200": f"https://localhost:{node.port}",
        "/etc/corral/ca.pem": str(node.authority.ca),
    }
    settings = declared().text("/etc/kibana/kibana.yml")
    for old, new in own.items():
        assert old in settings
        settings = settings.replace(old, new)
    (folder / "kibana.yml").write_text(settings)
    environment = dict(line.split("=", 1) for line in written()["kibana.env"].splitlines())
    log = folder / "kibana.out"
    with Program("lab.elastic.kibana", "-c", folder / "kibana.yml", log=log, **environment) as program:
        until(lambda: "now available" in program.log(), program.log)
        yield port


@contextmanager
def door(node, folder, kibana_port):
    """nginx by the role's configuration; its port."""
    port = free_port()
    (folder / "mime.types").write_text(Path("/etc/nginx/mime.types").read_text())
    (folder / "users").write_text(written()["kibana.users"])
    certificate, key = node.authority.pair("elk")
    own = {
        "user www-data;": f"user {getpass.getuser()};\ndaemon off;",
        "/run/nginx.pid": f"{folder}/nginx.pid",
        "/var/log/nginx/": f"{folder}/",
        "/etc/nginx/kibana.users": f"{folder}/users",
        "/var/lib/corral/certificates/host.pem": str(certificate),
        "/var/lib/corral/certificates/host.key": str(key),
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "127.0.0.1:5601": f"127.0.0.1:{kibana_port}",
    }
    configuration = declared().text("/etc/nginx/nginx.conf")
    for old, new in own.items():
        assert old in configuration
        configuration = configuration.replace(old, new)
    (folder / "nginx.conf").write_text(configuration)
    command = ["nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"]
    subprocess.run([*command, "-t", "-q"], check=True)
    process = subprocess.Popen(command)
    try:
        until(lambda: visit(node, port)[0], "nginx does not answer")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def visit(node, port, path="/", user="", password=""):
    """Status and page, by TLS; 0 without an answer."""
    request = urllib.request.Request(f"https://localhost:{port}{path}")
    if user:
        request.add_header(
            "Authorization", f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        )
    try:
        context = ssl.create_default_context(cafile=node.authority.ca)
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_who_has_an_account_sees_logs_and_what_converge_put_into_kibana(node, tmp_path):
    (tmp_path / "objects.ndjson").write_text(declared().text("/etc/corral/kibana/objects.ndjson"))
    (tmp_path / "operator").write_text("secret")
    assert put_objects(node).returncode == 0
    line = {"@timestamp": "2026-11-26T00:00:00Z", "message": "hello", "host": {"name": "i-1"}}
    assert node.ask("POST", "/logs-first-lab/_doc?refresh=true", line, **PLANTER)[0] == 201
    with (
        kibana(node, tmp_path) as inner,
        door(node, tmp_path, inner) as port,
    ):
        for _ in range(2):
            done = subprocess.run(
                [ROOT / "files/kibana/objects", tmp_path / "objects.ndjson", tmp_path / "operator"],
                env={**os.environ, "CORRAL_KIBANA": f"http://127.0.0.1:{inner}"},
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert (done.returncode, done.stdout) == (0, "corral: imported 9 objects into Kibana\n"), done
        assert visit(node, port)[0] == 401
        assert visit(node, port, "/", "reader", "wrong")[0] == 401
        # Who has an account of Elasticsearch, but nothing to look for, does not come in either.
        assert visit(node, port, "/", "writer", "writes")[0] == 401
        status, page = visit(node, port, "/app/discover?q=hello", "reader", "reads")
        assert status == 200 and "<td>hello" in page
        status, body = visit(node, port, "/api/saved_objects/dashboard/corral", "operator", "secret")
        assert status == 200 and json.loads(body)["attributes"]["title"] == "The fleet"


def test_what_kibana_is_given_holds_together():
    """Each reference leads to an object, each JSON in JSON is some, and each field is one of the standard."""
    objects = [json.loads(line) for line in declared().text("/etc/corral/kibana/objects.ndjson").splitlines()]
    there = {(each["type"], each["id"]) for each in objects}
    assert {(each["type"], each["id"]) for one in objects for each in one["references"]} <= there
    fields = json.loads((ROOT / "files/elasticsearch/logs-fields.json").read_text())
    known = set(fields["template"]["mappings"]["properties"]) | {"___records___"}
    for one in objects:
        for name, value in one["attributes"].items():
            if name.endswith("JSON") or name == "fieldFormatMap":
                json.loads(value)
        if one["type"] == "lens":
            (layer,) = one["attributes"]["state"]["datasourceStates"]["formBased"]["layers"].values()
            assert {column["sourceField"] for column in layer["columns"].values()} <= known
            assert set(layer["columnOrder"]) == set(layer["columns"])
        if one["type"] == "search":
            assert set(one["attributes"]["columns"]) <= known
