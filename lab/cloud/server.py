"""The lab's AWS API as one process: moto's server, our extensions, and a clock that keeps groups whole."""

import os
import threading
import time
import traceback

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from lab.cloud import (
    autoscaling,
    clients,
    credentials,
    faults,
    images,
    instances,
    members,
    refresh,
    refreshes,
    revision,
    route53,
    s3,
    tags,
    target_health,
    volumes,
)
from lab.cloud.cloudformation import api as cloudformation

EXTENSIONS = (
    autoscaling,
    cloudformation,
    credentials,
    images,
    instances,
    refreshes,
    route53,
    s3,
    tags,
    target_health,
    volumes,
)


def serve(host: str, port: int, pause: float) -> None:
    """Serve until a signal ends the process. moto keeps everything in memory: what was made is gone then.

    `pause`: seconds between two looks at what has to be done without anybody asking.
    """
    os.environ["MOTO_PORT"] = str(port)
    for extension in EXTENSIONS:
        extension.install()
    application = faults.answer(revision.answer(DomainDispatcherApplication(create_backend_app)))
    server = make_server(host, port, application, threaded=True, request_handler=MotoRequestHandler)
    clients.listen_at(f"http://{host}:{server.port}")
    threading.Thread(target=_clock, args=[pause], name="clock", daemon=True).start()
    print(f"The lab's AWS API listens at http://{host}:{server.port}", flush=True)
    server.serve_forever()


def _clock(pause: float) -> None:
    while True:
        time.sleep(pause)
        # Before members go for good, a refresh sees why.
        for part in (refresh, members, instances, volumes):
            try:
                part.tick()
            except Exception:  # One part's fault is no reason to stop the clock.
                traceback.print_exc()
