"""Clients from npm, fetched into a temporary folder when a test needs them: nothing of theirs is kept in the repository."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from listener_harness import Lines, skip

# Versions that these tests were written against; the registry is whichever npm is set up to use.
MQTTJS = "mqtt@5.16.0"
SPARKPLUG = "sparkplug-client@3.2.4"
PROGRAMS = Path(__file__).resolve().parent / "mqttjs"


def install(*packages, unless=skip):
    """A folder with the packages in node_modules, the caller's to remove. Where that cannot be `unless` is called with the
    reason and does not return: the whole program is skipped, or one test."""
    if not shutil.which("node") or not shutil.which("npm"):
        unless("node and npm are not installed")
    folder = Path(tempfile.mkdtemp(prefix="sluice-npm-"))
    # Without this npm looks for a project in the folders above.
    (folder / "package.json").write_text('{"private": true}\n')
    command = ["npm", "install", "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel",
               "error", *packages]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120,
                              env={**os.environ, "npm_config_fetch_retries": "1", "npm_config_fetch_timeout": "30000",
                                   "npm_config_logs_max": "0"})
        failed = done.stderr.strip().splitlines()[:2] if done.returncode else None
    except subprocess.TimeoutExpired:
        failed = ["npm took longer than 120 s"]
    if failed is not None:
        shutil.rmtree(folder, ignore_errors=True)
        unless(f"{' '.join(packages)} cannot be had from npm: {'; '.join(failed)}")
    return folder


class Program:
    """One of mqttjs/*.js: a JSON object per line tells it what to do, and it tells what happens."""

    def __init__(self, name, packages):
        self.lines = Lines(["node", PROGRAMS / name], cwd=packages, stdin=subprocess.PIPE)
        self.heard = 0   # events of which wait() has spoken

    def do(self, what, **more):
        self.lines.popen.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.lines.popen.stdin.flush()

    def wait(self, event, check=lambda _: True, seconds=60):
        """The next such event, after those that earlier calls found."""
        def number():
            for i, line in enumerate(self.lines.lines[self.heard:], self.heard):
                said = json.loads(line)
                if said["event"] == event and check(said):
                    return i
            return None
        self.lines.wait_for(lambda _: number() is not None, event, seconds)
        found = number()
        self.heard = found + 1
        return json.loads(self.lines.lines[found])

    def close(self):
        self.lines.kill()
        self.lines.popen.stdin.close()
