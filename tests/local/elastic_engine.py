"""A real Elasticsearch for tests, from the lab's package: its archive is fetched once and kept."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest

from corral.errors import CorralError
from lab.elastic import engine, packages, repository
from tests.local.elastic import ROOT, Authority, until
from tests.local.ports import free_port

# Kept between runs, as pytest's own cache is: it is a hundred megabytes.
CACHE = ROOT / ".corral/elastic"
NOBODY = 65534
NAME = "elk.test.internal"
ROLES = {
    "logs_writer": {"indices": [{"names": ["logs-*"], "privileges": ["auto_configure", "create_doc"]}]},
    "logs_reader": {"indices": [{"names": ["logs-*"], "privileges": ["read", "view_index_metadata"]}]},
}
# The role's fields, and one that takes numbers alone, so that there is something to refuse.
TEMPLATE = {
    "index_patterns": ["logs-*-*"],
    "priority": 500,
    "data_stream": {},
    "composed_of": ["logs-fields"],
    "template": {
        "settings": {"index": {"number_of_replicas": 0}},
        "mappings": {"properties": {"line.test.refused": {"type": "long", "ignore_malformed": False}}},
    },
}
FIELDS = json.loads((ROOT / "files/elasticsearch/logs-fields.json").read_text())
USERS = {"writer": "logs_writer", "reader": "logs_reader", "operator": "superuser"}


def engine_archive(folder):
    """Put the engine's archive into a folder; skips aloud where it can't be had."""
    try:
        archive = engine.fetch(CACHE)
    except CorralError as error:
        pytest.skip(f"no Elasticsearch to be had here: {error}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / archive.name).symlink_to(archive)


@contextmanager
def node_of_the_package():
    """A node that serves, unpacked from the lab's package, with the role's fields and accounts."""
    # Where another user reads it: pytest closes its own folders to all others.
    with tempfile.TemporaryDirectory(prefix="corral-elastic-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        _unpack(folder)
        (folder / "node").mkdir()
        node = Elasticsearch(folder / "host", folder / "node", Authority(folder / "pki"))
        node.kibana_token = node.token("elastic/kibana")
        with node:
            assert node.ask("PUT", "/_component_template/logs-fields", FIELDS)[0] == 200
            assert node.ask("PUT", "/_index_template/logs", TEMPLATE) == (200, {"acknowledged": True})
            yield node


def _unpack(folder):
    engine_archive(folder / "archives")
    archive = engine.fetch(folder / "archives")
    built = packages.build("elasticsearch", folder, lambda _, root: engine.lay_out(archive, root))
    assert built.fields["Package"] == "elasticsearch" and repository.packages_index([built], folder)
    subprocess.run(["dpkg-deb", "-x", built.file, folder / "host"], check=True)
    built.file.unlink()


class Elasticsearch:
    """One node below `folder`, of the package's files in `root`, with TLS and accounts in files."""

    def __init__(self, root, folder, authority):
        self.folder, self.port = folder, free_port()
        self._home = root / "usr/share/elasticsearch"
        shutil.copytree(root / "etc/elasticsearch", folder / "etc")
        for each in ("data", "logs", "tmp"):
            (folder / each).mkdir()
        certificate, key = authority.pair(NAME)
        for path in (certificate, key):
            shutil.copy(path, folder / "etc" / path.name)
        self.authority = authority
        self._context = ssl.create_default_context(cafile=authority.ca)
        settings = {
            "path.data": str(folder / "data"),
            "path.logs": str(folder / "logs"),
            "discovery.type": "single-node",
            "network.host": "127.0.0.1",
            "http.port": self.port,
            "transport.port": free_port(),
            "node.store.allow_mmap": False,
            "xpack.security.enabled": True,
            "xpack.security.http.ssl": {
                "enabled": True,
                "certificate": certificate.name,
                "key": key.name,
            },
        }
        (folder / "etc/elasticsearch.yml").write_text(json.dumps(settings))
        # Elasticsearch reads this file role by role: each one's name begins a line.
        roles = [f"{name}: {json.dumps(role)}\n" for name, role in ROLES.items()]
        (folder / "etc/roles.yml").write_text("".join(roles))
        hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4, prefix=b"2a")).decode()
        (folder / "etc/users").write_text("".join(f"{name}:{hashed}\n" for name in USERS))
        (folder / "etc/users_roles").write_text("".join(f"{role}:{name}\n" for name, role in USERS.items()))
        options = folder / "etc/jvm.options"
        options.write_text(options.read_text().replace("/var/log/elasticsearch", str(folder / "logs")))
        (folder / "etc/jvm.options.d/heap.options").write_text("-Xms512m\n-Xmx512m\n")
        java = Path(shutil.which("java") or pytest.skip("no Java here: Elasticsearch is not tried")).resolve()
        self._environment = {
            "PATH": os.environ["PATH"],
            "ES_JAVA_HOME": str(java.parents[1]),
            "ES_PATH_CONF": str(folder / "etc"),
            "ES_TMPDIR": str(folder / "tmp"),
            "NOTIFY_SOCKET": str(folder / "notify"),
        }
        self._become = []
        if os.geteuid() == 0:
            self._become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", folder], check=True)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        # What systemd would hear.
        notify = self.folder / "notify"
        notify.unlink(missing_ok=True)
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(str(notify))
        notify.chmod(0o666)
        self._log = (self.folder / "console").open("w+")
        command = [*self._become, "nice", "-n", "5", self._home / "bin/systemd-entrypoint"]
        self.process = subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)
        try:
            until(self._serves, lambda: (self.folder / "console").read_text()[-3000:], seconds=300)
            self.notified.settimeout(60)
            assert self.notified.recv(100) == b"READY=1"
        except BaseException:
            self.process.kill()
            self._ended()
            raise

    def stop(self):
        self.process.terminate()
        # As the unit says: SuccessExitStatus.
        assert self._ended() == 143

    def _ended(self):
        code = self.process.wait(300)
        self.notified.close()
        self._log.close()
        return code

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def token(self, account):
        """A new token of a service account, such as elastic/kibana; it is in the file service_tokens."""
        tool = self._home / "bin/elasticsearch-service-tokens"
        done = subprocess.run(
            [*self._become, tool, "create", account, "corral"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.rpartition(" = ")[2].strip()

    def ask(self, method, path, body=None, user="operator", password="secret"):
        """Status and answer of one request."""
        return self.send(method, path, None if body is None else json.dumps(body).encode(), user, password)

    def send(self, method, path, data, user="operator", password="secret"):
        """The same, with the body as it is sent."""
        credentials = b64encode(f"{user}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60, context=self._context) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def _serves(self):
        assert self.process.poll() is None, (self.folder / "console").read_text()[-3000:]
        try:
            return self.ask("GET", "/_cluster/health")[0] == 200
        except OSError:
            return False
