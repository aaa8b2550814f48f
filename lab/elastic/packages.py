"""Debian packages of the vendor's names: what is in debian/, with the stand-in's code, or with the engine."""

import hashlib
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.commands import run

_HERE = Path(__file__).parent
_REPOSITORY = _HERE.parent.parent
_SHARED = (
    "lab/__init__.py",
    "lab/elastic/__init__.py",
    "lab/elastic/settings.py",
    "lab/elastic/lumberjack.py",
)


@dataclass(frozen=True)
class Package:
    """A package that was built: its control file's fields, and the file."""

    fields: dict[str, str]
    file: Path


def stand_in(name: str, root: Path) -> None:
    """Put the stand-in's code into a package's root directory, below /usr/share/<name>/lib."""
    code = [path.relative_to(_REPOSITORY) for path in sorted((_HERE / name).glob("*.py"))]
    for each in [*map(Path, _SHARED), *code]:
        target = root / "usr/share" / name / "lib" / each
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_REPOSITORY / each, target)


def build(name: str, directory: Path, fill: Callable[[str, Path], None]) -> Package:
    """Build one package into `directory`. `fill`: puts what is not in debian/ into the package's root."""
    root = directory / "root"
    shutil.copytree(_HERE / "debian" / name, root, ignore=shutil.ignore_patterns(".keep"))
    fill(name, root)
    _set_modes(root)
    settings = [f"/{path.relative_to(root)}" for path in sorted((root / "etc").rglob("*")) if path.is_file()]
    (root / "DEBIAN/conffiles").write_text("".join(f"{each}\n" for each in settings))
    fields = _fields((root / "DEBIAN/control").read_text())
    version = fields["Version"].partition(":")[2] or fields["Version"]
    file = directory / f"{name}-{version}-{fields['Architecture']}.deb"
    # Jars do not shrink, and the rest is small.
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", root, file)
    shutil.rmtree(root)
    return Package(fields, file)


def sources() -> bytes:
    """Hash of all that decides what the packages hold."""
    digest = hashlib.sha256()
    for path in sorted(path for path in _HERE.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(str(path.relative_to(_HERE)).encode() + b"\0" + path.read_bytes())
    return digest.digest()


def _set_modes(root: Path) -> None:
    """Whatever the umask of the one who checked this repository out: programs are 755, the rest 644."""
    for path in root.rglob("*"):
        if path.is_symlink():
            continue
        program = path.is_dir() or path.parent.name == "bin" or path.name in ("postinst", "postrm")
        executable = program or bool(path.stat().st_mode & stat.S_IXUSR)
        path.chmod(0o755 if executable else 0o644)
    root.chmod(0o755)


def _fields(control: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in control.splitlines())
