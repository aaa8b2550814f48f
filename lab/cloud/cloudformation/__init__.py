"""CloudFormation as the lab does it: every resource is made by a call of the lab's own AWS API.

`intrinsics.py` and `template.py` read a template; `proposals.py` says what it would change, `changes.py` and
`steps.py` bring a stack to it; `resources/` knows what each type of resource takes; `api.py` answers the API.
A type or property that nobody here knows fails the stack: what the lab takes, it does.
"""
