"""What the system tests share: a stack in a temporary folder that is kept when a test fails."""

import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
SOURCE = Path(os.environ.get("SLUICE_SOURCE", Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(SOURCE / "scripts/lib"))
from demo import Stack, StartError, free_port, wait_until  # noqa: E402,F401


class StackTest(unittest.TestCase):
    """One stack per test. `self.new_stack(...)`; stopped and, if the test passed, removed at the end."""

    def setUp(self):
        self.stacks = []

    def new_stack(self, **kwargs):
        stack = Stack(Path(tempfile.mkdtemp(prefix="sluice-test-")), **kwargs)
        stack.retention["bus_file_bytes"] = 64 << 10   # small, so that the judge meets many
        self.stacks.append(stack)
        return stack

    def tearDown(self):
        outcome = self._outcome
        result = getattr(outcome, "result", None)
        failed = any(test is self for test, _ in (result.failures + result.errors)) if result else True
        for stack in self.stacks:
            stack.stop()
            if failed:
                print(f"kept: {stack.folder}", file=sys.stderr)
            else:
                shutil.rmtree(stack.folder, ignore_errors=True)

    def queue(self, stack, name):
        return next(q for q in stack.status()["queues"] if q["name"] == name)

    def assert_exactly_once(self, stack, ledger, at_least):
        code, verdict = stack.judge([ledger], wait=60)
        self.assertGreaterEqual(verdict["accepted"], at_least, verdict)
        self.assertEqual((verdict["missing"], verdict["duplicates"], verdict["order_breaks"]), (0, 0, 0), verdict)
        self.assertEqual(verdict["applied"], verdict["accepted"], verdict)
        self.assertEqual(code, 0, verdict)
        return verdict


def flow(ledger, until):
    """How many events were sent for the first time up to `until`, in Unix seconds, and over how many seconds."""
    seen, begin = set(), None
    with open(ledger, encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("S\t") or not line.endswith("\n"):
                continue
            _, device, boot, seq, _, ms, us = line.rstrip("\n").split("\t")[:7]
            at = (int(ms) * 1000 + int(us)) / 1e6
            begin = begin or at
            if at <= until:
                seen.add((device, boot, seq))
    return len(seen), until - begin


def names(vending=0, sensors=0, terminals=0):
    return ([f"vm-{i + 1:04}" for i in range(vending)] + [f"sensor-{i + 1:04}" for i in range(sensors)] +
            [f"term-{i + 1:04}" for i in range(terminals)])
