"""The template's switches: whether there are servers at all, and whether an update may replace them."""

from troposphere import Equals, Parameter, Ref, Template

# Each is a parameter, and the condition of the same meaning.
SERVERS, WITH_SERVERS = "Servers", "WithServers"
CONSENT, AGREED = "ReplaceServers", "ServersMayBeReplaced"


def add(template: Template) -> None:
    """Add the two switches.

    Without a bundle no server could configure itself: each would be abandoned, and the stack with them. So
    `corral stack apply` says "no" until there is one. The default is "yes" all the same: an update by other
    hands, that leaves the parameter out, gets the default, and must not take a running fleet away. At worst
    a creation fails by it, where nothing is to be lost yet.
    """
    _add(template, SERVERS, WITH_SERVERS, "yes", "Whether there are servers: not before there is a bundle")
    _add(
        template,
        CONSENT,
        AGREED,
        "no",
        "Whether this update replaces running servers whose launch template it changes",
    )


def _add(template: Template, parameter: str, condition: str, default: str, description: str) -> None:
    values = ["no", "yes"]
    template.add_parameter(
        Parameter(parameter, Type="String", AllowedValues=values, Default=default, Description=description)
    )
    template.add_condition(condition, Equals(Ref(parameter), "yes"))
