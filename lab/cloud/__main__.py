"""Runs the lab's AWS API: python -m lab.cloud --host HOST --port PORT."""

import click

from lab.cloud.server import serve


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=4566, show_default=True, help="Port to listen at.")
@click.option("--pause", default=1.0, show_default=True, help="Seconds between looks at what is due.")
def main(host: str, port: int, pause: float) -> None:
    """Serve the lab's AWS API until a signal ends it."""
    serve(host, port, pause)


main()
