"""The few operations of our own: few commands, files checked before they move, restarts that last."""
