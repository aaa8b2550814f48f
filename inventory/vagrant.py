"""The machines of the Vagrantfile that are up: db, app1, app2 on a developer's own machine.

pyinfra inventory/vagrant.py deploy.py
"""

import os

from corral import vagrant
from corral.inventory import refuse_misses, sentences
from corral.settings import load

# The group data of the roles wants settings too; a developer's machine is nobody's live environment.
os.environ.setdefault("CORRAL_ENV", "branch")

with sentences():
    _machines = vagrant.machines(load())
    refuse_misses({role: [name for name, _ in hosts] for role, hosts in _machines.items()})

app = _machines.get("app", [])
db = _machines.get("db", [])
