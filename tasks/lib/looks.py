"""One look at the files of all of a host's tasks, and one at their units, in place of one for each task.

    with gathering():
        run("configure")     # changes nothing: each operation says what it will ask about
    run("configure")         # the first one asks about all of it; while nothing changes, the others know

A converge that finds nothing to do is mostly such questions, each of them a command by SSH and sudo.
"""

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from pyinfra import host, state
from pyinfra.api.host import Host

Item = TypeVar("Item", bound=Hashable)
Answer = TypeVar("Answer")

# A push does each operation on all hosts before the next: while another takes its time, what was seen ages.
FRESH_SECONDS = 10
# pyinfra reads deploy.py for many hosts at once: whose turn it is to tell, and whose to do.
_gathering: WeakSet[Host] = WeakSet()


@contextmanager
def gathering() -> Iterator[None]:
    """As long as this lasts, this host's operations only tell what they will ask about.

    config_files and service know of it; call nothing else in it.
    """
    this = _this()
    _gathering.add(this)
    try:
        yield
    finally:
        _gathering.discard(this)


class Look(Generic[Item, Answer]):
    """What is asked of a host about many things of one kind, by one command.

    `ask`: the command, for the host whose turn it is: items to answers, each by a name that the item gives.
    Two items with one name have one answer.
    """

    def __init__(self, ask: Callable[[tuple[Item, ...]], dict[str, Answer]]) -> None:
        self._ask = ask
        # Of each host: what its tasks will ask about, and what was answered, foreseen or when it counts.
        self._expected: WeakKeyDictionary[Host, tuple[Item, ...]] = WeakKeyDictionary()
        self._seen: WeakKeyDictionary[Host, tuple[bool, float, dict[str, Answer]]] = WeakKeyDictionary()

    def expect(self, items: Iterable[Item]) -> bool:
        """Take what will be asked about; False when now is the time to do it."""
        this = _this()
        if this not in _gathering:
            return False
        self._expected[this] = tuple(dict.fromkeys((*self._expected.get(this, ()), *items)))
        self._seen.pop(this, None)
        return True

    def answers(self, items: Sequence[Item]) -> dict[str, Answer]:
        """The answers, by one command, or by none if they are known, are fresh, and nothing changed since.

        Those of other items may be among them. Raises what the command's fact raises.
        """
        this = _this()
        expected = self._expected.get(this, ())
        if not set(items) <= set(expected):
            return self._ask(tuple(items))
        executing, at, known = self._seen.get(this, (None, 0.0, {}))
        old = time.monotonic() - at > FRESH_SECONDS
        if old or executing is not state.is_executing or not _untouched():
            known = self._ask(expected)
            self._seen[this] = state.is_executing, time.monotonic(), known
        return known


def _untouched() -> bool:
    """Has no operation of this run changed the host? One that is under way hasn't yet: it looks first."""
    return not any(each.operation_meta.executed for each in state.ops[_this()].values())


def _this() -> Host:
    """The host itself; pyinfra's `host` stands for whichever it is the turn of."""
    return state.inventory.get_host(host.name)
