"""The one exception for bad input and a bad world: what is wrong, how to mend it, where to read more."""


class CorralError(Exception):
    """Something the reader can mend. `corral` prints it on stderr and exits with code 1, without a traceback.

    `problem`: a sentence saying what is wrong. `remedy`: a sentence saying what to do about it.
    `see`: a page of this repository, such as "docs/settings.md".
    """

    def __init__(self, problem: str, remedy: str = "", see: str = ""):
        self.problem = problem
        self.remedy = remedy
        self.see = see
        super().__init__(problem, remedy, see)

    def __str__(self) -> str:
        more = f"Read more: {self.see}" if self.see else ""
        return "\n".join(part for part in (self.problem, self.remedy, more) if part)
