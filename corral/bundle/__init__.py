"""Bundles: what a node runs to converge itself. Built from this repository, kept in S3, pointed to."""
