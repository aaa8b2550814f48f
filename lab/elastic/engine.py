"""Elasticsearch's own engine, from Maven Central: fetched by Maven, and laid out as Elastic's package does.

It is Elastic's distribution for tests of integrations: the engine with security, and without the modules
(docs/elastic-stand-ins.md).
"""

import hashlib
import shutil
import tempfile
import zipfile
from pathlib import Path

from corral.errors import CorralError
from lab.commands import run

VERSION = "8.19.21"
_ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
_SHA256 = "215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
# What only Windows runs, and what the package has elsewhere.
_LEFT_OUT = (".bat", ".exe")
_HOME = "usr/share/elasticsearch"
_SETTINGS = "etc/elasticsearch"


def fetch(directory: Path) -> Path:
    """The engine's archive in `directory`, downloaded unless it is there; raises CorralError.

    Maven takes it from where this machine's Maven takes everything.
    """
    archive = directory / f"elasticsearch-{VERSION}.zip"
    if not archive.exists():
        if not shutil.which("mvn"):
            raise CorralError(
                "Elasticsearch's engine comes by Maven, and there is none here.",
                "Install Debian's package maven.",
                "docs/elastic-stand-ins.md",
            )
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix="fetch-") as folder:
            where = [f"-Dmaven.repo.local={folder}/repository", f"-DoutputDirectory={folder}"]
            run("mvn", "--batch-mode", "--quiet", _COPY, f"-Dartifact={_ARTIFACT}", *where)
            check(Path(folder) / archive.name)
            (Path(folder) / archive.name).rename(archive)
    check(archive)
    return archive


def check(archive: Path) -> None:
    """Raise CorralError unless it is the archive that was tried."""
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _SHA256:
        raise CorralError(
            f"{archive.name} is not the Elasticsearch that was tried: its SHA-256 is {found}.",
            f"Delete {archive}, and look at where Maven takes it from.",
            "docs/elastic-stand-ins.md",
        )


def lay_out(archive: Path, root: Path) -> None:
    """Unpack it into a package's root directory, with the paths of Elastic's package."""
    with zipfile.ZipFile(archive) as zipped:
        for info in zipped.infolist():
            _, _, name = info.filename.partition("/")
            if info.is_dir() or name.endswith(_LEFT_OUT):
                continue
            inner = name.removeprefix("config/")
            target = root / (_HOME if inner == name else _SETTINGS) / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            with zipped.open(info) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
    for empty in (f"{_HOME}/plugins", f"{_SETTINGS}/jvm.options.d"):
        (root / empty).mkdir(parents=True, exist_ok=True)
    # Elastic's package brings a Java of its own at this place.
    (root / _HOME / "jdk").symlink_to("/usr/lib/jvm/default-java")
    _replace(
        root / _HOME / "bin/elasticsearch-env",
        'ES_PATH_CONF="$ES_HOME"/config',
        "ES_PATH_CONF=/etc/elasticsearch",
    )
    options = root / _SETTINGS / "jvm.options"
    _replace(options, "file=gc.log", "file=/var/log/elasticsearch/gc.log")
    _replace(options, "ErrorFile=hs_err", "ErrorFile=/var/log/elasticsearch/hs_err")
    # It is started often here, and runs for minutes: compiled by C1 alone it takes 13 s of a processor until
    # it serves, in place of 20.
    with options.open("a") as file:
        file.write("-XX:TieredStopAtLevel=1\n")
    with (root / _SETTINGS / "elasticsearch.yml").open("a") as file:
        file.write("path.data: /var/lib/elasticsearch\npath.logs: /var/log/elasticsearch\n")


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if old not in text:
        raise CorralError(
            f"{path.name} of Elasticsearch {VERSION} has no {old!r}.", "", "docs/elastic-stand-ins.md"
        )
    path.write_text(text.replace(old, new))
