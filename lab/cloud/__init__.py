"""The lab's AWS: moto's server, with what a fleet needs and moto lacks. Start at `server.py`."""
