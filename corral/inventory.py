"""What the inventories share: errors as sentences with an exit code, and a --limit that misses loudly.

pyinfra exits with 0 when no host is left (an inventory that fails to load, a typo after --limit), which a
script takes for success.
"""

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch

import click

from corral.errors import CorralError

SEE = "docs/converge.md"


@contextmanager
def sentences() -> Iterator[None]:
    """End pyinfra with the sentence of a CorralError on stderr and exit code 1."""
    try:
        yield
    except CorralError as error:
        sys.exit(f"corral: {error}")


def refuse_misses(groups: Mapping[str, Collection[str]]) -> None:
    """Raise CorralError when pyinfra's --limit or --exclude names nobody, or leaves nobody.

    `groups`: addresses of hosts by name of their group. Outside of pyinfra's command nothing is asked for.
    """
    context = click.get_current_context(silent=True)
    asked = context.params if context else {}
    limit, exclude = (tuple(asked.get(option) or ()) for option in ("limit", "exclude"))
    everyone = {host for group in groups.values() for host in group}
    for option, patterns in (("--limit", limit), ("--exclude", exclude)):
        for pattern in patterns:
            if not matches(pattern, groups):
                raise CorralError(
                    f"{option} {pattern}: no host and no role of that name is in service.",
                    f"Choose among the roles {', '.join(sorted(group for group in groups if groups[group]))}"
                    f" and the addresses {_some(everyone)}; all hosts are taken without it.",
                    SEE,
                )
    left = {host for pattern in limit for host in matches(pattern, groups)} if limit else everyone
    if not left - {host for pattern in exclude for host in matches(pattern, groups)}:
        raise CorralError("--limit and --exclude together leave no host.", "Give less of them.", SEE)


def matches(pattern: str, groups: Mapping[str, Collection[str]]) -> set[str]:
    """The hosts that pyinfra takes `pattern` for: those of a group, else by address, as a shell does."""
    if pattern in groups:
        return set(groups[pattern])
    return {host for group in groups.values() for host in group if fnmatch(host, pattern)}


def _some(hosts: Collection[str]) -> str:
    shown = sorted(hosts)[:6]
    return ", ".join(shown) + (", …" if len(hosts) > len(shown) else "")
