"""The log server's files before real programs: Elasticsearch, nginx; and Kibana's stand-in of the lab."""

import base64
import getpass
import json
import os
import re
import runpy
import shutil
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import bcrypt
import pytest

from lab.elastic import engine, packages
from tests.local.elastic import ROOT, Authority, Program, until
from tests.local.elastic_engine import NAME, NOBODY, Elasticsearch, engine_archive
from tests.local.ports import free_port
from tests.shared.roles import Declared

SECRETS = {
    "operator-password": "secret",
    "reader-password": "reads",
    "writer-password": "writes",
    "kibana-token": "a-secret-of-forty-three-characters-as-made",
    "kibana-key": "another",
}
# What the package's own set-up leaves in the keystore; the hash is that of "elastic's".
STORES = (("http", "keystore"), ("transport", "keystore"), ("transport", "truststore"))
ELASTIC = bcrypt.hashpw(b"elastic's", bcrypt.gensalt(4, prefix=b"2a")).decode()
# An account of the tests, which may do all: it plants what the others must not reach.
PLANTER = {"user": "planter", "password": "plants"}
LINE = {"@timestamp": "2026-11-26T00:00:00Z", "message": "hello", "host": {"name": "i-1"}, "user": "x"}


@pytest.fixture(scope="module")
def declared():
    return Declared("elk")


@pytest.fixture(scope="module")
def accounts():
    # An import would leave its byte code among the files that go to hosts.
    return SimpleNamespace(**runpy.run_path(str(ROOT / "files/elasticsearch/accounts")))


def files_of(accounts):
    """The contents that the role's script writes, by the last part of their paths."""
    return {Path(path).name: content for path, (_, content) in accounts.files(SECRETS).items()}


class Node(Elasticsearch):
    """A node with the files that the role writes; but for its folders and ports."""

    def __init__(self, root, folder, authority, declared, accounts):
        super().__init__(root, folder, authority)
        etc = folder / "etc"
        own = {
            "/srv/data/elasticsearch": str(folder / "data"),
            "/var/log/elasticsearch": str(folder / "logs"),
            "http.host: 0.0.0.0": "http.host: 127.0.0.1",
            "http.port: 9200": f"http.port: {self.port}\ntransport.port: {free_port()}",
        }
        settings = declared.text("/etc/elasticsearch/elasticsearch.yml")
        for old, new in own.items():
            assert old in settings
            settings = settings.replace(old, new)
        # The machine's own kernel may allow few maps; a host gets more by the package.
        more = f"node.store.allow_mmap: false\npath.repo: {folder}/snapshots\n"
        (etc / "elasticsearch.yml").write_text(settings + more)
        written = {name: declared.text(f"/etc/elasticsearch/{name}") for name in ("roles.yml", "users_roles")}
        written |= {name: files_of(accounts)[name] for name in ("users", "service_tokens")}
        written["users"] += f"planter:{accounts.hashed('planter', 'plants')}\n"
        written["users_roles"] += "superuser:planter\n"
        for name, text in written.items():
            (etc / name).write_text(text)
        (etc / "certificates").mkdir()
        for ending in ("crt", "key"):
            name = f"host.{'pem' if ending == 'crt' else 'key'}"
            shutil.copy(etc / f"{NAME}.{ending}", etc / "certificates" / name)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", folder], check=True)
        self._as_the_package_leaves_it()

    def _as_the_package_leaves_it(self):
        """The package of Elastic sets security up for itself, before our files are there."""
        left = {f"{layer}.ssl.{store}.secure_password": "x" * 6 for layer, store in STORES}
        left["autoconfiguration.password_hash"] = ELASTIC
        tool = [*self._become, self._home / "bin/elasticsearch-keystore"]
        more = {"env": self._environment, "capture_output": True, "text": True, "check": True}
        subprocess.run([*tool, "create"], **more)
        for name, value in left.items():
            name = name if name.startswith("auto") else f"xpack.security.{name}"
            subprocess.run([*tool, "add", "--stdin", name], input=f"{value}\n", **more)


@pytest.fixture(scope="module")
def node(declared, accounts):
    # Where another user reads it: pytest closes its own folders to all others.
    with tempfile.TemporaryDirectory(prefix="corral-elastic-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        engine_archive(folder / "archives")
        archive = engine.fetch(folder / "archives")
        built = packages.build("elasticsearch", folder, lambda _, root: engine.lay_out(archive, root))
        subprocess.run(["dpkg-deb", "-x", built.file, folder / "host"], check=True)
        (folder / "node").mkdir()
        authority = Authority(folder / "pki")
        with Node(folder / "host", folder / "node", authority, declared, accounts) as node:
            yield node


def test_each_account_may_do_what_it_is_for(node, accounts):
    as_reader = {"user": "reader", "password": "reads"}
    as_writer = {"user": "writer", "password": "writes"}
    assert node.ask("POST", "/logs-first-lab/_doc?refresh=true", LINE, **as_writer)[0] == 404
    assert put_objects(node).returncode == 0
    assert node.ask("POST", "/logs-first-lab/_doc", LINE, **as_writer)[0] == 201
    assert node.ask("POST", "/logs-first-lab/_refresh")[0] == 200
    assert node.ask("POST", "/logs-*/_search", {}, **as_reader)[1]["hits"]["total"]["value"] == 1
    assert node.ask("POST", "/logs-*/_search", {}, **as_writer)[0] == 403
    assert node.ask("POST", "/logs-first-lab/_doc", LINE, **as_reader)[0] == 403
    # It may write there, but no index appears by itself.
    assert node.ask("POST", "/logs-other/_doc", LINE)[0] == 404
    assert node.ask("GET", "/_cluster/health", None, "reader", "writes")[0] == 401
    assert node.ask("GET", "/_cluster/health", None, "elastic", "elastic's")[0] == 401
    for path in ("/_cluster/health", "/_cluster/settings", "/_index_template/corral-logs"):
        assert node.ask("GET", path)[0] == 200
        assert node.ask("GET", path, **as_reader)[0] == 403
    assert node.ask("PUT", "/_index_template/other", {"index_patterns": ["x"]}, **as_reader)[0] == 403

    token = re.search("KIBANA_TOKEN=(.+)", files_of(accounts)["kibana.env"])[1]
    health = urllib.request.Request(f"https://127.0.0.1:{node.port}/_cluster/health")
    health.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(
        health, context=ssl.create_default_context(cafile=node.authority.ca)
    ) as answer:
        assert answer.status == 200


def test_the_operator_keeps_logs_and_reaches_nothing_else(node):
    assert put_objects(node).returncode == 0
    assert node.ask("PUT", "/other", **PLANTER)[0] == 200
    assert node.ask("POST", "/other/_doc?refresh=true", LINE, **PLANTER)[0] == 201
    # A letter that was dead, an index that is old, what a full disk leaves.
    status, line = node.ask("POST", "/logs-kept-lab/_doc?refresh=true", LINE)
    assert status == 201
    assert node.ask("POST", "/logs-kept-lab/_rollover")[0] == 200
    unblocked = {"index.blocks.read_only_allow_delete": None}
    assert node.ask("PUT", "/logs-kept-lab/_settings", unblocked)[0] == 200
    place = {"type": "fs", "settings": {"location": "corral"}}
    assert node.ask("PUT", "/_snapshot/corral", place)[0] == 200
    # As the policy does it, by the rights of who put that.
    (policy,) = (each for each in objects() if each["path"] == "/_slm/policy/corral")
    made = node.ask("PUT", "/_snapshot/corral/one?wait_for_completion=true", policy["body"]["config"])
    assert made[0] == 200
    assert node.ask("GET", "/_snapshot/corral/_all")[1]["snapshots"][0]["state"] == "SUCCESS"
    assert node.ask("DELETE", f"/{line['_index']}")[0] == 200
    assert hits(node, "logs-kept-lab") == []
    # As docs/log-server.md says.
    beside = {"rename_pattern": "logs-(.+)", "rename_replacement": "logs-restored.$1"}
    again = {"indices": "logs-*", "include_global_state": False} | beside
    assert node.ask("POST", "/_snapshot/corral/one/_restore?wait_for_completion=true", again)[0] == 200
    assert [hit["_source"] for hit in hits(node, "logs-restored.kept-lab")] == [LINE]

    assert all(hit["_index"].startswith(".ds-logs-") for hit in hits(node, "*"))
    assert "other" in {hit["_index"] for hit in hits(node, "*", **PLANTER)}
    mapping = {"roles": ["superuser"], "enabled": True, "rules": {"field": {"username": "reader"}}}
    refused = [
        ("GET", "/other/_search", None),
        ("POST", "/other/_doc", LINE),
        ("PUT", "/another", None),
        ("DELETE", "/other", None),
        ("PUT", "/other/_settings", unblocked),
        ("GET", "/.security/_search", None),
        ("PUT", "/_security/user/guest", {"password": "guest's own", "roles": ["superuser"]}),
        ("PUT", "/_security/role/guest", {"cluster": ["all"]}),
        ("PUT", "/_security/role_mapping/guest", mapping),
        ("GET", "/_security/user", None),
        ("POST", "/_security/api_key", {"name": "guest"}),
        ("POST", "/_security/service/elastic/kibana/credential/token/guest", None),
        ("PUT", "/_cluster/settings", {"persistent": {"action.auto_create_index": "true"}}),
        ("POST", "/_cluster/reroute", {}),
        ("DELETE", "/_snapshot/corral/one", None),
        ("DELETE", "/_snapshot/corral", None),
    ]
    assert {each[:2]: node.ask(*each)[0] for each in refused} == {each[:2]: 403 for each in refused}


def objects():
    return json.loads(Declared("elk").text("/etc/corral/elasticsearch/objects.json"))


def hits(node, names, **account):
    return node.ask("GET", f"/{names}/_search?size=100", None, **account)[1]["hits"]["hits"]


def test_what_an_account_may_do_with_modules_that_are_not_here(node):
    """Elasticsearch knows, by the names that their actions have in 8.19, and Kibana's privileges."""
    kibana = {"application": "kibana-.kibana", "privileges": ["all", "read"], "resources": ["space:default"]}

    def granted(user, password):
        asked = {
            "cluster": [
                "manage_slm",
                "cluster:admin/slm/put",
                "cluster:admin/ilm/put",
                "cluster:admin/ingest/pipeline/put",
                "cluster:admin/features/reset",
                "cluster:admin/shutdown/create",
                "cluster:admin/xpack/license/delete",
                "manage_security",
                "manage",
            ],
            "index": [
                {"names": [name], "privileges": ["indices:admin/data_stream/lifecycle/put", "read"]}
                for name in ("logs-app-lab", "other")
            ],
            "application": [kibana],
        }
        status, answer = node.ask("POST", "/_security/user/_has_privileges", asked, user, password)
        assert status == 200, answer
        groups = [
            answer["cluster"],
            *answer["index"].values(),
            *answer["application"]["kibana-.kibana"].values(),
        ]
        return [[name for name, has in group.items() if has] for group in groups]

    kept = ["indices:admin/data_stream/lifecycle/put", "read"]
    slm = ["cluster:admin/slm/put", "manage_slm"]
    assert granted("operator", "secret") == [slm, kept, [], ["all"]]
    assert granted("reader", "reads") == [[], ["read"], [], ["read"]]
    assert granted("writer", "writes") == [[], [], [], []]


WRONG = {"path": "/_index_template/wrong", "body": {"index_patterns": []}}


def put_objects(node, *others, known=True):
    """Run the role's script with its objects, or others. `known`: on a host that knows them already."""
    folder = node.folder.parent / "objects"
    folder.mkdir(exist_ok=True)
    there = Declared("elk")
    for name in ("objects.json", "logs-fields.json"):
        (folder / name).write_text(there.text(f"/etc/corral/elasticsearch/{name}"))
    if others:
        (folder / "objects.json").write_text(json.dumps(others))
    (folder / "operator").write_text("secret")
    (folder / "known").unlink(missing_ok=True)
    if known:
        (folder / "known").touch()
    # Else it starts Logstash, which is not here: it is noted.
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/systemctl").write_text(f'#!/bin/sh\necho "$@" >>{folder}/started\n')
    (folder / "bin/systemctl").chmod(0o755)
    (folder / "started").write_text("")
    return subprocess.run(
        [
            ROOT / "files/elasticsearch/objects",
            folder,
            node.authority.ca,
            folder / "operator",
            folder / "known",
        ],
        env={
            **os.environ,
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "CORRAL_ELASTICSEARCH": f"https://127.0.0.1:{node.port}",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


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


def test_a_hash_changes_with_the_password_alone(accounts):
    assert accounts.files(SECRETS) == accounts.files(dict(SECRETS))
    one, other = (accounts.hashed(*each) for each in (("reader", "reads"), ("reader", "other")))
    assert one != other and one != accounts.hashed("writer", "reads")
    # Exactly as Elasticsearch and nginx know it: 22 characters of salt, 31 of hash.
    assert re.fullmatch(r"\$2a\$04\$[./A-Za-z0-9]{53}", one)


@contextmanager
def kibana(node, declared, accounts, folder):
    """The lab's Kibana by the role's settings; its address."""
    port = free_port()
    own = {
        "server.port: 5601": f"server.port: {port}",
        "/srv/data/kibana": str(folder / "kibana"),
        "https://localhost:9200": f"https://localhost:{node.port}",
        "/etc/corral/ca.pem": str(node.authority.ca),
    }
    settings = declared.text("/etc/kibana/kibana.yml")
    for old, new in own.items():
        assert old in settings
        settings = settings.replace(old, new)
    (folder / "kibana.yml").write_text(settings)
    environment = dict(line.split("=", 1) for line in files_of(accounts)["kibana.env"].splitlines())
    log = folder / "kibana.out"
    with Program("lab.elastic.kibana", "-c", folder / "kibana.yml", log=log, **environment) as program:
        until(lambda: "now available" in program.log(), program.log)
        yield port


@contextmanager
def door(node, declared, accounts, folder, kibana_port):
    """nginx by the role's configuration; its port."""
    port = free_port()
    (folder / "mime.types").write_text(Path("/etc/nginx/mime.types").read_text())
    (folder / "users").write_text(files_of(accounts)["kibana.users"])
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
    configuration = declared.text("/etc/nginx/nginx.conf")
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


def test_who_has_an_account_sees_logs_and_what_converge_put_into_kibana(node, declared, accounts, tmp_path):
    (tmp_path / "objects.ndjson").write_text(declared.text("/etc/corral/kibana/objects.ndjson"))
    (tmp_path / "operator").write_text("secret")
    with (
        kibana(node, declared, accounts, tmp_path) as inner,
        door(node, declared, accounts, tmp_path, inner) as port,
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


def test_what_kibana_is_given_holds_together(declared):
    """Each reference leads to an object, each JSON in JSON is some, and each field is one of the standard."""
    objects = [json.loads(line) for line in declared.text("/etc/corral/kibana/objects.ndjson").splitlines()]
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
