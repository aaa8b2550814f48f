"""Brings stacks to their templates, and away: what would change, in words, and the change with its events."""
