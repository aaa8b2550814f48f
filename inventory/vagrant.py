"""The machines of the Vagrantfile: app1, app2 and db on a developer's own machine, by what Vagrant says of them.

pyinfra inventory/vagrant.py deploy.py
"""

from corral import vagrant
from corral.inventory import refuse_misses, sentences

with sentences():
    _machines = vagrant.machines()
    refuse_misses({role: [name for name, _ in hosts] for role, hosts in _machines.items()})

app = _machines.get("app", [])
db = _machines.get("db", [])
