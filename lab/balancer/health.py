"""What HAProxy knows of a server, in the words of Elastic Load Balancing. Pure."""

from dataclasses import dataclass

from lab.balancer.runtime import Row


@dataclass(frozen=True)
class Health:
    """A target's state, reason and description (API reference, "TargetHealth")."""

    state: str
    reason: str = ""
    description: str = ""

    def words(self) -> dict[str, str]:
        """As the file has it that the lab's AWS reads."""
        return {"state": self.state, "reason": self.reason, "description": self.description}


INITIAL = Health("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
DRAINING = Health("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
UNUSED = Health(
    "unused",
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)


def judge(row: Row, seconds_known: float, seconds_initial: float) -> Health:
    """Health of a registered target.

    `seconds_known`: since it was added. `seconds_initial`: for so long bad checks leave it initial.
    """
    if row.status.startswith("UP") or row.status == "no check":
        return Health("healthy")
    if row.check in {"", "INI"} or (seconds_known < seconds_initial and row.status.startswith("DOWN")):
        return INITIAL
    if row.check == "L7STS":
        mismatch = f"Health checks failed with these codes: [{row.code}]"
        return Health("unhealthy", "Target.ResponseCodeMismatch", mismatch)
    if row.check.endswith("TOUT"):
        return Health("unhealthy", "Target.Timeout", "Request timed out")
    return Health("unhealthy", "Target.FailedHealthChecks", "Health checks failed")


def passed(row: Row) -> bool:
    """Whether the newest check was good."""
    return row.check.endswith("OK")
