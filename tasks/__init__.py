"""How a host is converged: one module per thing, each with the stages install, configure and activate.

A task has `PACKAGES` (Debian's), `PORTS` (what it opens) and any of the three functions: docs/development.md.
"""
