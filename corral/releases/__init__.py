"""Releases of the application: built, kept in S3, named by each environment's pointer."""
