"""A node converges itself: what runs on a host when it boots, and when a tick found something to do.

Only the standard library and what the bundle brings; it asks AWS by files/host/aws, with the host's own role.
"""
