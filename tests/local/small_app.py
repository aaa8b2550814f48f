"""A repository with an application of a few lines, for tests of releases, and git for tests."""

import json
import os
import subprocess

import pytest

# An application that needs no network: a locked package from a directory, and a build of one line.
APP = {
    "app/package.json": json.dumps(
        {
            "name": "small",
            "version": "1.0.0",
            "type": "module",
            "scripts": {
                "build": "node build.js",
                "test": "node -e 'process.exit(process.env.BROKEN ? 3 : 0)'",
            },
        }
    ),
    "app/package-lock.json": json.dumps(
        {
            "name": "small",
            "version": "1.0.0",
            "lockfileVersion": 3,
            "packages": {"": {"name": "small", "version": "1.0.0"}},
        }
    ),
    "app/build.js": (
        "import {mkdirSync, writeFileSync} from 'node:fs';\n"
        "mkdirSync('dist/assets', {recursive: true});\n"
        "writeFileSync('dist/index.html', '<h1>Hello</h1>');\n"
    ),
    "app/server/main.js": "console.log('starts');\n",
    "app/test/some.test.js": "// not shipped\n",
    "app/.gitignore": "secret.env\nnode_modules/\n",
    "README.md": "Not part of a release.\n",
}


def git(root, *words, date="2026-03-04T23:30:00-05:00"):
    names = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    done = subprocess.run(
        ["git", "-C", root, *words], env={**os.environ, **names, **dates}, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def check_out(root):
    """A repository with the application in it; always the same commit."""
    for name, text in APP.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "One")
    return root


@pytest.fixture
def checkout(tmp_path):
    return check_out(tmp_path / "checkout")
