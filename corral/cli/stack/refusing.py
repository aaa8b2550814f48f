"""Refuses what is no environment, changes that lose data or servers unasked, and those that can only fail."""

from collections.abc import Iterable

from corral.cloudformation.change_sets import Proposal
from corral.cloudformation.changes import VPC, Change, network_made_anew
from corral.cloudformation.servers import Effect
from corral.errors import CorralError
from corral.settings import Settings

SEE = "docs/stack.md"
UNDO = "Undo the setting that asks for it; or, if {} may go: {}"


def unless_an_environment(settings: Settings) -> None:
    """Raise CorralError for a file of branches without the name of one: such an environment never expired."""
    if settings.branch_days and not settings.pattern:
        file = settings.environment
        raise CorralError(
            f"environments/{file}.toml is a file of branches: without a branch's name it is no environment.",
            f"Name the branch: -e {file}/feature-x, or -e {file} --branch feature-x",
            "docs/branches.md",
        )


def unless_agreed(
    proposal: Proposal, effects: Iterable[Effect], allow_replacement: bool, replace_servers: bool
) -> None:
    """Raise CorralError unless all that the proposal loses may go, by the options of `apply`."""
    if refusal := why(proposal, effects, allow_replacement, replace_servers):
        raise CorralError(refusal.problem, f"Nothing was changed. {refusal.remedy}", refusal.see)


def why(
    proposal: Proposal, effects: Iterable[Effect], allow_replacement: bool, replace_servers: bool
) -> CorralError | None:
    """What `apply` with these options would say against the proposal; None when it would run it."""
    if anew := network_made_anew(proposal.changes):
        return _no_other_network(anew)
    if (lost := [each for each in proposal.changes if each.loses_data]) and not allow_replacement:
        problem = f"This would replace or delete what holds data: {_named(lost)}."
        return CorralError(problem, UNDO.format("it", "--allow-replacement"), SEE)
    if replace_servers:
        return None
    remedy = UNDO.format("they", "--replace-servers")
    if groups := [each for each in proposal.changes if each.loses_servers]:
        problem = f"This would replace whole groups with all their servers: {_named(groups)}."
        return CorralError(problem, remedy, SEE)
    if moving := [each for each in effects if each.moves]:
        problem = f"This would move running servers to other subnets: {', '.join(map(_moved, moving))}."
        return CorralError(problem, remedy, SEE)
    return None


def _no_other_network(anew: list[Change]) -> CorralError:
    if any(each.kind == VPC for each in anew):
        remedy = "A network keeps its addresses: undo network.cidr."
    else:
        remedy = "Zones keep their order: put `zones` back; then add some at its end, or take some from it."
    return CorralError(
        f"This would make the network a second time, which can't work beside the first: {_named(anew)}.",
        f"{remedy} For other ones, make a new environment, and move to it.",
        SEE,
    )


def _named(changes: Iterable[Change]) -> str:
    return ", ".join(f"{each.resource} ({each.physical})" for each in changes)


def _moved(effect: Effect) -> str:
    return f"{effect.name} ({', '.join(effect.leaving)} at least)" if effect.leaving else effect.name
