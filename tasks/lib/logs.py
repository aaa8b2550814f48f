"""How a task says what it logs: `LOGS = [Log("nginx.access", "/var/log/nginx/access.json", …)]`.

Each is rotated and shipped (tasks/logging.py): by renaming, so that no line is lost between two files.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Log:
    """A file of lines.

    `dataset`: what Elasticsearch's data stream of it is called, without a hyphen, and what Filebeat remembers
    the file by: it never changes. `path`: of the file that is written to now; "{project}" stands for the
    project's name. `owner`, `group`, `mode`: of a new one. `user`: USER GROUP that rename it, where the
    folder is theirs. `reopen`: a shell command that makes its writer open it anew; none where it is opened
    for each line. `text`: its lines are no JSON, and need not be taken for broken JSON.
    """

    dataset: str
    path: str
    owner: str = "root"
    group: str = "adm"
    mode: str = "0640"
    user: str = ""
    reopen: str = ""
    text: bool = False
