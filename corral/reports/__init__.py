"""What the nodes report of themselves: its schema, and how it is read from S3."""

from corral.reports.schema import Past, Report, printable
from corral.reports.store import Received, listed, only, read

__all__ = ["Past", "Received", "Report", "listed", "only", "printable", "read"]
