"""What deploy.py declares for a host of a role in environment lab, found by running it without a host."""

import os
import runpy
from pathlib import Path
from unittest.mock import patch

from pyinfra.api import Config, Inventory, State
from pyinfra.api.state import StateStage
from pyinfra.context import ctx_host, ctx_state

from tasks.lib import files

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("app", "db", "elk", "release")
# What inventory/aws.py adds for each host.
HOST = {
    "instance_id": "i-0123456789abcdef0",
    "private_address": "10.42.16.4",
    "private_zone_id": "Z0123456789",
    "data_volume": "vol-0123456789abcdef0",
    "zone": "eu-west-1a",
    "group": "chat-lab-app",
    "fake_delay": 0,
    "fake_delay_jitter": 0,
}


def group_data(role, environment="lab"):
    """The data that pyinfra gives to a host of `role`, as it reads inventory/group_data/."""
    data = {}
    with patch.dict(os.environ, {"CORRAL_ENV": environment}):
        for group in ("all", role):
            names = runpy.run_path(str(ROOT / "inventory" / "group_data" / f"{group}.py"))
            data |= {name: value for name, value in names.items() if not name.startswith("__")}
    return data


class Declared:
    """What came of it.

    `operations`: their names, in order. `ports`: what the firewall opens. `drains`: units that stop when the
    host goes. `files`: {operation: {path: Entry}} of config_files. `sources`: the templates and files of this
    repository that it read. `data`: the host's, some of which may be given.
    """

    def __init__(self, role, **data):
        self.files = {}
        self.sources = set()
        state = State(Inventory(([("@fake/host", {**group_data(role), **HOST, **data})], {})), Config())
        state.current_stage = StateStage.Prepare
        host = state.inventory.get_host("@fake/host")
        with ctx_state.use(state), ctx_host.use(host), self._recording():
            runpy.run_path(str(ROOT / "deploy.py"))
        self.data = host.data.dict()
        self.operations = [" and ".join(state.op_meta[operation].names) for operation in host.op_hash_order]
        self.ports = host.data.ports
        self.drains = host.data.drains

    def _recording(self):
        operation, resolve = files._config_files, files.resolve_set

        def record(name, entries, **more):
            self.files[name] = {entry.path: entry for entry in entries}
            return operation(name=name, entries=entries, **more)

        def resolve_and_record(wanted, data):
            self.sources |= {getattr(each, "source", None) for each in wanted}
            return resolve(wanted, data)

        return patch.multiple(files, _config_files=record, resolve_set=resolve_and_record)

    def text(self, path):
        """The content of the file at `path`, as the host would have it."""
        return next(entries[path].body for entries in self.files.values() if path in entries).decode()
