"""Whether an environment is healthy: what is seen of it, what that means, and how it is shown."""
