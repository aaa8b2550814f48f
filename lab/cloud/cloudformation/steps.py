"""The steps of an operation on a stack, resource by resource, with the way back."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from lab.cloud.cloudformation.properties import differing, named, wanted
from lab.cloud.cloudformation.resources import Kind, Refused, kind_of
from lab.cloud.cloudformation.stack import FAILURES, Resource, Stack


class Steps:
    """One operation's steps; the stack has the template and tags that it is to have."""

    def __init__(self, stack: Stack, imports: Collection[str] = ()):
        self.stack = stack
        self.imports = imports
        # Resources that new ones took the place of; they are still there.
        self.replaced: list[tuple[str, Resource]] = []
        self._undo: list[Callable[[], None]] = []

    def bring(self) -> None:
        """Make and change resources in order. Raises Refused."""
        template = self.stack.template
        evaluator = self.stack.evaluator(template)
        for logical in template.order():
            said = template.resources[logical]
            present = self.stack.resources.get(logical)
            try:
                given = wanted(template, evaluator, logical, self.stack.tags)
                if given is None:
                    continue
                kind = kind_of(said["Type"])
                if present and present.type != kind.type:
                    raise Refused("Update of resource type is not permitted.")
            except FAILURES as error:
                failed = "UPDATE_FAILED" if present else "CREATE_FAILED"
                self.stack.say(failed, str(error), logical, "", said["Type"])
                raise Refused(str(error)) from error
            self._bring_one(logical, kind, given, said, present)

    def go_back(self) -> None:
        """Undo all that was done, the last first. Raises Refused."""
        for step in reversed(self._undo):
            step()

    def _bring_one(
        self, logical: str, kind: Kind, given: dict[str, Any], said: dict[str, Any], present: Resource | None
    ) -> None:
        full = named(self.stack, logical, kind, given)
        if present is None and logical in self.imports:
            self._adopt(logical, kind, full, said)
        elif present is None:
            self._make(logical, kind, full, said, None)
        elif differing(full, present.given) & kind.replaced_by:
            self._make(logical, kind, named(self.stack, logical, kind, given, anew=True), said, present)
            self.replaced.append((logical, present))
        elif full != present.given:
            self._modify(logical, kind, full, present)
        resource = self.stack.resources[logical]
        before, resource.said = resource.said, said
        self._undo.append(lambda: setattr(resource, "said", before))

    def _make(
        self, logical: str, kind: Kind, given: dict[str, Any], said: dict[str, Any], present: Resource | None
    ) -> None:
        with self.stack.step("UPDATE" if present else "CREATE", logical, kind.type) as physical:
            physical.append(kind.create(self.stack.cloud, given))
        made = Resource(kind.type, physical[-1], given, said)
        self.stack.resources[logical] = made

        def back() -> None:
            if said.get("DeletionPolicy") == "Retain":
                self.stack.say("DELETE_SKIPPED", "", logical, made.physical, made.type)
            else:
                delete_resource(self.stack, logical, made)
            del self.stack.resources[logical]
            if present:
                self.stack.resources[logical] = present

        self._undo.append(back)

    def _adopt(self, logical: str, kind: Kind, given: dict[str, Any], said: dict[str, Any]) -> None:
        """Take over what is there, and bring it to the template by an update, as CloudFormation does."""
        stack, name = self.stack, given[kind.name]
        with stack.step("IMPORT", logical, kind.type, name, "Resource import started."):
            if not kind.exists(stack.cloud, name):
                raise Refused(f"Resource of type '{kind.type}' with identifier '{name}' was not found.")
        stack.resources[logical] = Resource(kind.type, name, given, said, "IMPORT_COMPLETE", imported=True)

        def back() -> None:
            stack.say("DELETE_SKIPPED", "", logical, name, kind.type)
            del stack.resources[logical]

        self._undo.append(back)
        reason = "Apply stack-level tags to imported resource if applicable."
        with stack.step("UPDATE", logical, kind.type, name, reason):
            kind.adopt(stack.cloud, given)
        stack.resources[logical].status = "UPDATE_COMPLETE"

    def _modify(self, logical: str, kind: Kind, given: dict[str, Any], present: Resource) -> None:
        stack, before = self.stack, present.given

        def say(progress: str) -> None:
            stack.say("UPDATE_IN_PROGRESS", progress, logical, present.physical, kind.type)

        def change(way: Callable[..., None], new: dict[str, Any], old: dict[str, Any]) -> None:
            with stack.step("UPDATE", logical, kind.type, present.physical):
                way(stack.cloud, present.physical, new, old)
                kind.settle(stack.cloud, present.physical, new, old, say)
            stack.resources[logical] = replace(present, given=new, status="UPDATE_COMPLETE")

        # Also when the change itself fails half-way: then what was changed is brought back.
        self._undo.append(lambda: change(kind.restore, before, given))
        change(kind.update, given, before)


def delete_resource(stack: Stack, logical: str, resource: Resource) -> None:
    """Delete one resource. Raises Refused."""
    with stack.step("DELETE", logical, resource.type, resource.physical):
        kind_of(resource.type).delete(stack.cloud, resource.physical, resource.given)
