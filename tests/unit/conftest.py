"""Unit tests are of the repository alone."""

from tests.shared import machine

machine.forget()
