"""Clients from npm, fetched into a temporary folder when a test needs them: nothing of theirs is kept in the repository."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from listener_harness import skip

# Versions that these tests were written against; the registry is whichever npm is set up to use.
MQTTJS = "mqtt@5.16.0"
SPARKPLUG = "sparkplug-client@3.2.4"


def install(*packages):
    """A folder with the packages in node_modules, the caller's to remove. Ends the program as skipped where that cannot be."""
    if not shutil.which("node") or not shutil.which("npm"):
        skip("node and npm are not installed")
    folder = Path(tempfile.mkdtemp(prefix="sluice-npm-"))
    # Without this npm looks for a project in the folders above.
    (folder / "package.json").write_text('{"private": true}\n')
    command = ["npm", "install", "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel",
               "error", *packages]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120,
                              env={**os.environ, "npm_config_fetch_retries": "1", "npm_config_fetch_timeout": "30000", "npm_config_logs_max": "0"})
        failed = done.stderr.strip().splitlines()[:2] if done.returncode else None
    except subprocess.TimeoutExpired:
        failed = ["npm took longer than 120 s"]
    if failed is not None:
        shutil.rmtree(folder, ignore_errors=True)
        skip(f"{' '.join(packages)} cannot be had from npm: {'; '.join(failed)}")
    return folder
