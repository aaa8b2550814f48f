"""Shows changes before they run, and events as they come."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.text import Text

from corral.cli.common import console
from corral.cloudformation.change_sets import Proposal
from corral.cloudformation.events import Event
from corral.cloudformation.request import Wishes
from corral.cloudformation.servers import Effect
from corral.cloudformation.stacks import Stack
from corral.cloudformation.wording import Line, counted, lines, summary
from corral.images import Pin
from corral.settings import Settings

SEE = "docs/stack.md"
DONE = "Stack {stack} is as its settings say."
NOTHING = "Stack {stack} is as its settings say: nothing to change."
NO_SERVERS = "Every server of {stack} is as its group would launch it: --replace-servers has no effect."

# What servers run must be there before them: the application, and what configures them.
NEXT = (
    "corral release publish $(corral release build)",
    "corral release runtimes publish",
    "corral release point VERSION",
    "corral bundle publish --point",
    "corral stack apply",
)


def show(settings: Settings, proposal: Proposal, effects: list[Effect], wishes: Wishes) -> None:
    """Print what a proposal would do, one line for each resource and property."""
    where = f"account {settings.account}, {settings.region}"
    verb = "be created" if proposal.creates else "change"
    print_(Line(f"Stack {settings.stack_name} ({where}) will {verb}:", "bold"))
    # All of a new stack is new; what it takes over is worth a line of its own.
    many = [change for change in proposal.changes if proposal.creates and change.verb == "added"]
    for change in proposal.changes:
        for line in lines(change) if change not in many else ():
            print_(line)
    for line in counted(many):
        print_(line)
    for parameter in proposal.parameters:
        print_(Line(f"  {parameter.path}: {parameter.before} → {parameter.after}"))
    for effect in effects:
        consent = wishes.replace_servers
        print_(Line(f"  {said(effect, consent)}", "bold" if consent else ""))
    if not wishes.servers:
        print_(Line("  No server is launched: the environment does not name a bundle and a release yet."))
    print_(Line(f"{summary(proposal.changes) or 'No resource changes'}.", "bold"))


def show_image(pin: Pin) -> None:
    """Print which machine image servers to come boot, if it is another one than before."""
    if pin.moved:
        before = f", instead of {pin.before}" if pin.before else ""
        print_(Line(f"  Servers to come boot image {pin.image}{before}."))


def said(effect: Effect, consent: bool) -> str:
    """What becomes of the running servers of a group, in a sentence."""
    one = effect.servers == 1
    servers = "1 running server" if one else f"{effect.servers} running servers"
    if effect.moves and not consent:
        lost = f"{', '.join(effect.leaving)} would go, others perhaps" if effect.leaving else "some would go"
        return f"{effect.name}: other subnets. Of its servers {lost}, for new ones elsewhere."
    if not consent:
        stay = "stays as it is" if one else "stay as they are"
        return f"{effect.name}: {servers} {stay}; those to come are launched the new way."
    if not effect.servers:
        return f"{effect.name}: no server is to be replaced."
    return f"{effect.name}: {servers} will be replaced{'' if one else ', one by one'}."


def follow(settings: Settings, events: Iterable[Event], total: int) -> list[Event]:
    """Show events as they come: lines for what is done, and on a terminal what is worked on below them."""
    seen: list[Event] = []
    done, began = 0, time.monotonic()
    with console.status("Starting") as status, _left_alone(settings):
        for event in events:
            seen.append(event)
            done += not (event.going_on or event.of_stack)
            minutes, seconds = divmod(int(time.monotonic() - began), 60)
            at = f"{event.resource}: {event.reason}" if event.reason else event.resource
            status.update(Text(f"{done} of {total} done ({minutes} min {seconds:02} s), at {at}"))
            if not event.going_on:
                reason = f"  {event.reason}" if event.failed else ""
                style = "bold red" if event.failed or "ROLLBACK" in event.status else "green"
                print_(Line(f"  {event.status:28}{event.resource}  {event.kind}{reason}", style))
    return seen


def outputs(stack: Stack) -> None:
    """Print what the stack tells about itself."""
    width = max(map(len, stack.outputs), default=0)
    for name, value in sorted(stack.outputs.items()):
        print_(Line(f"  {name:{width}}  {value}"))


def how_to_get_servers(settings: Settings) -> None:
    """Print that there are none yet, and what to type so that there are."""
    where = f"-e {settings.reference}"
    print_(
        Line("There are no servers yet: they configure themselves, by a bundle. What to type next:", "bold")
    )
    for command in NEXT:
        print_(Line(f"  {command} {where}"))
    print_(Line(f"Read more: {SEE}"))


def print_(line: Line) -> None:
    """Print text as it is, in its style."""
    console.print(line.text, style=line.style or None, markup=False)


@contextmanager
def _left_alone(settings: Settings) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        console.print(
            f"What was begun with stack {settings.stack_name} goes on without us. Try again, and see."
        )
        raise
