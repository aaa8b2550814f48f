"""The environment's CloudFormation template, made from its settings alone. Start at `template.py`."""

from corral.stack.template import assemble, render

__all__ = ["assemble", "render"]
