"""One look at the files of all of a host's tasks, in place of one for each task.

    with gathering():
        run("configure")     # changes nothing: each config_files says which paths it will ask about
    run("configure")         # the first one asks about all of them; while nothing changes, the others know

A converge that finds nothing to do is mostly such questions, each of them a command by SSH and sudo.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from weakref import WeakKeyDictionary, WeakSet

from pyinfra import host, state
from pyinfra.api.host import Host

from tasks.lib.files_state import FileStates, Standing

# pyinfra reads deploy.py for many hosts at once: whose turn it is to tell, and whose to do.
_gathering: WeakSet[Host] = WeakSet()
# Of each host: the paths that its tasks will ask about, and what stood there, foreseen or when it counts.
_expected: WeakKeyDictionary[Host, tuple[str, ...]] = WeakKeyDictionary()
_seen: WeakKeyDictionary[Host, tuple[bool, dict[str, Standing]]] = WeakKeyDictionary()


@contextmanager
def gathering() -> Iterator[None]:
    """As long as this lasts, this host's config_files only tell their paths. Call nothing else in it."""
    this = _this()
    _gathering.add(this)
    try:
        yield
    finally:
        _gathering.discard(this)


def expect(paths: Iterable[str]) -> bool:
    """Take paths that will be asked about; False when now is the time to do it."""
    this = _this()
    if this not in _gathering:
        return False
    _expected[this] = (*_expected.get(this, ()), *paths)
    return True


def standing(paths: Sequence[str]) -> dict[str, Standing]:
    """What stands at paths of this host, by one command, or by none if it is known and nothing changed since.

    Paths at which nothing stands are left out. Raises FactProcessError as FileStates does.
    """
    this = _this()
    expected = _expected.get(this, ())
    if not set(paths) <= set(expected):
        return _look(paths)
    executing, known = _seen.get(this, (None, {}))
    if executing is not state.is_executing or not _untouched():
        _seen[this] = state.is_executing, (known := _look(expected))
    return known


def _look(paths: Sequence[str]) -> dict[str, Standing]:
    found: dict[str, Standing] = host.get_fact(FileStates, paths=tuple(paths))
    return found


def _untouched() -> bool:
    """Has no operation of this run changed the host? One that is under way hasn't yet: it looks first."""
    return not any(each.operation_meta.executed for each in state.ops[_this()].values())


def _this() -> Host:
    """The host itself; pyinfra's `host` stands for whichever it is the turn of."""
    return state.inventory.get_host(host.name)
