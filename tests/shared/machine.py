"""What tests must not take from the machine that they run on: its speed, and whose account it works in."""

import os
from functools import cache

import botocore.session
import hypothesis


def forget() -> None:
    """Whatever a test does, it finds no credentials of the machine, and asks no metadata service for some."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "CORRAL_"))]:
        del os.environ[name]
    os.environ |= {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # moto makes a thousand public images anew whenever a test starts from nothing; no test asks for one.
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    }
    # Sessions share what they read of botocore's data: of EC2 alone that takes a third of a second each time.
    botocore.session.create_loader = cache(botocore.session.create_loader)
    # A busy machine fails no test.
    hypothesis.settings.register_profile("patient", deadline=None)
    hypothesis.settings.load_profile("patient")
