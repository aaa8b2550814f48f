"""The tables of an environment file about change: when servers come and go, converge, are replaced."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from corral.settings.sections import Section


class Lifecycle(Section):
    """How long a server may take to come and to go."""

    launch_seconds: Annotated[int, Field(ge=60, le=7200)] = 900
    terminate_seconds: Annotated[int, Field(ge=30, le=7200)] = 120


class Converge(Section):
    """How often a host looks whether it is in its declared state."""

    minutes: Annotated[int, Field(ge=1, le=1440)] = 10
    jitter_seconds: Annotated[int, Field(ge=0, le=3600)] = 120


class Refresh(Section):
    """How `corral refresh` replaces the app servers: percentages of as many as the group is to have."""

    min_healthy_percent: Annotated[int, Field(ge=0, le=100)] = 100
    max_healthy_percent: Annotated[int, Field(ge=100, le=200)] = 110
    warmup_seconds: Annotated[int, Field(ge=0, le=3600)] = 60

    @field_validator("max_healthy_percent")
    @classmethod
    def _not_too_far_apart(cls, value: int, info: ValidationInfo) -> int:
        # Auto Scaling API reference, RefreshPreferences, MaxHealthyPercentage.
        least = info.data.get("min_healthy_percent", value)
        if value - least > 100:
            raise ValueError(
                f"{value} is more than 100 above refresh.min_healthy_percent ({least})"
                "|raise that one or lower this one"
            )
        return value


class Rollout(Section):
    """How a release comes to the app servers: how many at a time, and what each must pass before the next."""

    batch_percent: Annotated[int, Field(ge=1, le=100)] = 25
    batch_size: Annotated[int, Field(ge=1, le=1000)] | None = None
    trial_seconds: Annotated[int, Field(ge=0, le=300)] = 5
    checks: Annotated[int, Field(ge=1, le=100)] = 5
    healthy_seconds: Annotated[int, Field(ge=10, le=3600)] = 120
    lock_minutes: Annotated[int, Field(ge=5, le=240)] = 30
    waves: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (1, 10, 50, 100)

    @field_validator("waves", mode="before")
    @classmethod
    def _frozen(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("waves")
    @classmethod
    def _to_the_whole_fleet(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)) or value[-1:] != (100,):
            raise ValueError(
                "each wave is larger than the one before, the last is 100|write [1, 10, 50, 100]"
            )
        return value
