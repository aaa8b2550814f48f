"""Conditions of a pipeline: whether one holds for an event.

Source: "Conditionals" in "Accessing event data and fields" of Logstash's reference.
"""

import re
from typing import Any

from lab.elastic.logstash.event import Event
from lab.elastic.logstash.language import Condition, Field, Regexp


def holds(condition: Condition, event: Event) -> bool:
    """Whether it does; a comparison with a field that isn't there, or of another kind, does not hold."""
    operator, operands = condition.operator, condition.operands
    if operator == "and":
        return all(holds(each, event) for each in operands)
    if operator == "or":
        return any(holds(each, event) for each in operands)
    if operator == "not":
        return not holds(operands[0], event)
    left, *right = (_value(each, event) for each in operands)
    if not operator:
        return left is not None and left is not False
    return _compare(operator, left, right[0])


def _value(operand: Any, event: Event) -> Any:
    if isinstance(operand, Field):
        return event.get(operand.path)
    if isinstance(operand, list):
        return [_value(each, event) for each in operand]
    return operand


def _compare(operator: str, left: Any, right: Any) -> bool:
    if operator == "==":
        return bool(left == right)
    if operator == "!=":
        return bool(left != right)
    if operator in ("=~", "!~"):
        pattern = right.pattern if isinstance(right, Regexp) else str(right)
        found = isinstance(left, str) and re.search(pattern, left) is not None
        return found if operator == "=~" else not found
    if operator in ("in", "not in"):
        within = isinstance(right, str | list) and (not isinstance(right, str) or isinstance(left, str))
        return (within and left in right) == (operator == "in")
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return False
    return {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[operator]
