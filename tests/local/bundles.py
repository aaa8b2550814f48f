"""A checkout of one's own for tests of bundles, with packages that no index of others has."""

import zipfile

import pytest

from corral.bundle import source, wheels
from corral.bundle.build import build
from corral.releases.archive import sha256
from tests.local.small_app import git

FILES = {
    "deploy.py": "ROLES = {}\n",
    "inventory/node.py": "app = ['@local']\n",
    "inventory/aws.py": "import boto3\n",
    "inventory/vagrant.py": "import paramiko\n",
    "inventory/group_data/all.py": "x = 1\n",
    "inventory/group_data/aws.py": "_sudo = True\n",
    "environments/lab.toml": "region = 'eu-west-1'\n",
    "tasks/nginx.py": "PACKAGES = []\n",
    "templates/nginx/a name.j2": "{{ x }}\n",
    "files/host/aws": "#!/bin/sh\n",
    "corral/__init__.py": "",
    "corral/aws.py": "import boto3\n",
    "corral/node/identity.py": "ROLE = 1\n",
    "corral/settings/model.py": "KEYS = 1\n",
    "lab/cli.py": "import moto\n",
    "docs/boot.md": "# Boot\n",
    "pyproject.toml": (
        '[project]\nname = "corral"\nversion = "1.2"\n'
        '[project.entry-points."corral.commands"]\n'
        'status = "corral.cli.status:status"\nlab = "lab.cli:lab"\n'
    ),
    ".gitignore": "/.corral/\n*.pyc\n",
}


def make_wheel(place, name, version, tag, files, needs=()):
    """A wheel (PEP 427) of a few files."""
    path = place / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
    with zipfile.ZipFile(path, "w") as made:
        for file, text in files.items():
            made.writestr(file, text)
        made.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
        )
        made.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        made.writestr(f"{info}/RECORD", "")
    return path


def make_lock(lock, *found):
    """A lock, as pip-compile writes it, that takes just these wheels."""
    hashes = {}
    for path in found:
        hashes.setdefault("==".join(path.name.split("-")[:2]), []).append(sha256(path))
    pins = [[pin, *(f"--hash=sha256:{one}" for one in each)] for pin, each in hashes.items()]
    lock.write_text("".join(" \\\n    ".join(pin) + "\n" for pin in pins))


@pytest.fixture(scope="session")
def index(tmp_path_factory):
    """A directory of wheels: a pure package, and one that is compiled for each architecture."""
    place = tmp_path_factory.mktemp("index")
    make_wheel(place, "pure", "1.0", "py3-none-any", {"pure/__init__.py": "x = 1\n"}, ["native>=1"])
    for architecture in wheels.ARCHITECTURES:
        native = {
            "native/core.so": f"machine code of {architecture}",
            "native-2.0.data/platlib/native/moved.py": "y = 2\n",
            "native-2.0.data/scripts/native": "#!python\n",
            "native-2.0.data/headers/native.h": "int x;\n",
        }
        make_wheel(place, "native", "2.0", f"cp313-cp313-manylinux_2_28_{architecture}", native)
    make_wheel(place, "native", "2.0", "cp311-cp311-manylinux_2_28_x86_64", {"native/core.so": "of another"})
    return place


@pytest.fixture(autouse=True)
def only_this_index(index, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("wheels")


@pytest.fixture
def checkout(tmp_path, index):
    root = tmp_path / "checkout"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "files/host/aws").chmod(0o755)
    (root / "requirements").mkdir()
    make_lock(root / source.LOCK, *sorted(index.glob("*.whl")))
    git(tmp_path, "init", "-q", str(root))
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "One")
    return root


@pytest.fixture
def built(checkout, tmp_path, cache):
    """Builds the bundle of the checkout."""
    return lambda **options: build(checkout, tmp_path / "out", cache, **options)
