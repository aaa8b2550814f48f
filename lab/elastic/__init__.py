"""Elastic's packages for the lab, where Elastic's own repository can't be reached."""
