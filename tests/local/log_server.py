"""A node of the log server for tests: the real Elasticsearch with the files that the role writes."""

import json
import os
import runpy
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import bcrypt

from lab.elastic import engine, packages
from tests.local.elastic import ROOT, Authority
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


# An import would leave its byte code among the files that go to hosts.
ACCOUNTS = SimpleNamespace(**runpy.run_path(str(ROOT / "files/elasticsearch/accounts")))


@cache
def declared():
    """What deploy.py declares for the log server."""
    return Declared("elk")


def written():
    """The contents that the role's script of accounts writes, by the last part of their paths."""
    return {Path(path).name: content for path, (_, content) in ACCOUNTS.files(SECRETS).items()}


class Node(Elasticsearch):
    """A node with the files that the role writes; but for its folders and ports."""

    def __init__(self, root, folder, authority):
        super().__init__(root, folder, authority)
        etc = folder / "etc"
        own = {
            "/srv/data/elasticsearch": str(folder / "data"),
            "/var/log/elasticsearch": str(folder / "logs"),
            "http.host: 0.0.0.0": "http.host: 127.0.0.1",
            "http.port: 9200": f"http.port: {self.port}\ntransport.port: {free_port()}",
        }
        settings = declared().text("/etc/elasticsearch/elasticsearch.yml")
        for old, new in own.items():
            assert old in settings
            settings = settings.replace(old, new)
        # The machine's own kernel may allow few maps; a host gets more by the package.
        more = f"node.store.allow_mmap: false\npath.repo: {folder}/snapshots\n"
        (etc / "elasticsearch.yml").write_text(settings + more)
        files = {name: declared().text(f"/etc/elasticsearch/{name}") for name in ("roles.yml", "users_roles")}
        files |= {name: written()[name] for name in ("users", "service_tokens")}
        files["users"] += f"planter:{ACCOUNTS.hashed('planter', 'plants')}\n"
        files["users_roles"] += "superuser:planter\n"
        for name, text in files.items():
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


@contextmanager
def log_server():
    """A Node that serves."""
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
        with Node(folder / "host", folder / "node", authority) as node:
            yield node


def put_objects(node, *others, known=True):
    """Run the role's script with its objects, or others. `known`: on a host that knows them already."""
    folder = node.folder.parent / "objects"
    folder.mkdir(exist_ok=True)
    for name in ("objects.json", "logs-fields.json"):
        (folder / name).write_text(declared().text(f"/etc/corral/elasticsearch/{name}"))
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
