"""Who may do what on the log server, before the real Elasticsearch: one account for a purpose, no more."""

import json
import re
import ssl
import urllib.request

import pytest

from tests.local.log_server import ACCOUNTS, PLANTER, SECRETS, declared, log_server, put_objects, written

LINE = {"@timestamp": "2026-11-26T00:00:00Z", "message": "hello", "host": {"name": "i-1"}, "user": "x"}


@pytest.fixture(scope="module")
def node():
    with log_server() as node:
        yield node


def test_each_account_may_do_what_it_is_for(node):
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

    token = re.search("KIBANA_TOKEN=(.+)", written()["kibana.env"])[1]
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
    return json.loads(declared().text("/etc/corral/elasticsearch/objects.json"))


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


def test_a_hash_changes_with_the_password_alone():
    assert ACCOUNTS.files(SECRETS) == ACCOUNTS.files(dict(SECRETS))
    one, other = (ACCOUNTS.hashed(*each) for each in (("reader", "reads"), ("reader", "other")))
    assert one != other and one != ACCOUNTS.hashed("writer", "reads")
    # Exactly as Elasticsearch and nginx know it: 22 characters of salt, 31 of hash.
    assert re.fullmatch(r"\$2a\$04\$[./A-Za-z0-9]{53}", one)
