"""The `corral` command. Its groups are entry points of pyproject.toml, loaded when they are called."""

import errno
import os
import sys
from importlib.metadata import entry_points

import click

from corral.cli.common import Chosen, environment_option, fail
from corral.errors import CorralError

# So the system says that no more can be written; other errors are no reader's to mend.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class Groups(click.Group):
    """Finds groups of commands by entry point: `corral stack` imports neither the lab nor releases."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all groups."""
        return sorted(entry_points(group="corral.commands").names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The group of that name, imported now; None when there is none."""
        for entry in entry_points(group="corral.commands", name=cmd_name):
            try:
                command: click.Command = entry.load()
            except ModuleNotFoundError as error:
                # An operator's machine needs not have what the lab needs; the other groups work without.
                return _absent(cmd_name, str(error.name))
            return command
        return None


def _absent(name: str, module: str) -> click.Command:
    def refuse(**_: object) -> None:
        problem = f"corral {name} needs the Python module {module}, which is not installed here."
        raise CorralError(
            problem, "Install what it needs: make up, or requirements/install.sh lab", "docs/lab.md"
        )

    words = click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)
    unparsed = {"ignore_unknown_options": True, "help_option_names": []}
    short = f"(needs the Python module {module})"
    return click.Command(name, callback=refuse, params=[words], short_help=short, context_settings=unparsed)


@click.group(cls=Groups, context_settings={"help_option_names": ["-h", "--help"]})
@environment_option
@click.version_option(package_name="corral")
@click.pass_context
def corral(ctx: click.Context) -> None:
    """One product's whole fleet on AWS: its stack, its releases, its hosts.

    Hosts are converged by pyinfra itself: pyinfra inventory/aws.py deploy.py
    """
    ctx.ensure_object(Chosen)


def main() -> None:
    """Run the command; what the reader can mend is a sentence on stderr and exit code 1, not a traceback."""
    try:
        corral(prog_name="corral")
    except CorralError as error:
        fail(error)
    except OSError as error:
        if error.errno not in FULL:
            raise
        # What is left in the buffer would be tried again, and fail again, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        what = error.filename or "The output"
        fail(CorralError(f"{what} can't be written: {error.strerror}.", "Make room, or write elsewhere."))
