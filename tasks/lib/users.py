"""A system user for a service, with one question and no loop over all users."""

from collections.abc import Iterator, Sequence

from pyinfra import host
from pyinfra.api import FactBase, StringCommand, operation

from tasks.lib.shell import command_line, run_script


class Account(FactBase):
    """{"home", "shell", "groups"} of the account `user`; {} when there is none."""

    @staticmethod
    def default() -> dict[str, str]:
        """No such account."""
        return {}

    def command(self, user: str) -> str:
        """One command: the line of passwd, then the names of the groups."""
        return command_line("user_state.sh", user)

    def process(self, output: list[str]) -> dict[str, str]:
        """Lines "app:x:999:999::/srv/app:/usr/sbin/nologin" and "app adm"."""
        if len(output) < 2:
            return {}
        *_, home, shell = output[0].split(":")
        return {"home": home, "shell": shell, "groups": output[1]}


@operation()
def system_user(
    user: str, home: str, shell: str = "/usr/sbin/nologin", groups: Sequence[str] = ()
) -> Iterator[StringCommand]:
    """Let there be the system user `user` with a group of its own, and also in `groups`, without password.

    `home`: its path, which is not made: declare a Directory where the user needs one.
    """
    now = host.get_fact(Account, user=user)
    lacks = set(groups) - set(now.get("groups", "").split())
    if not now or now["home"] != home or now["shell"] != shell or lacks:
        yield run_script("user_apply.sh", user, home, shell, ",".join(groups))
