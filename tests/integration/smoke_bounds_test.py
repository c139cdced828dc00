"""scripts/run --smoke sends as many events as it was told, at the pace it was told, and refuses what would never end."""

import contextlib
import io
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

SOURCE = Path(os.environ["SLUICE_SOURCE"])
sys.path.insert(0, str(SOURCE / "scripts/lib"))
import run  # noqa: E402

FEW = ["--vending", "1", "--sensors", "1", "--terminals", "1", "--direct", "1", "--serial", "0"]


class SmokeBounds(unittest.TestCase):
    def smoke(self, *arguments):
        return subprocess.run([sys.executable, SOURCE / "scripts/lib/run.py", "--smoke", *arguments], capture_output=True,
                              text=True, timeout=120)

    def sims_of(self, *arguments):
        """The options of each simulator that would be started."""
        with mock.patch.object(sys, "argv", ["run", "--smoke", *arguments]):
            options = run.arguments()
        stack = mock.MagicMock()
        stack.folder = Path("/nowhere")
        with contextlib.redirect_stderr(io.StringIO()):
            run.start(stack, options, smoke=True)
        return [call.kwargs for call in stack.start_sim.call_args_list]

    def test_one_event_and_an_odd_number_arrive_whole(self):
        for events in (1, 7):
            done = self.smoke("--events", str(events), *FEW)
            self.assertEqual(done.returncode, 0, done.stderr)
            verdict = json.loads(done.stdout.splitlines()[-1])
            self.assertEqual((verdict["accepted"], verdict["applied"]), (events, events), done.stderr)

    def test_what_would_never_end_is_refused(self):
        for arguments, word in ((("--events", "0"), "--events"), (("--events", "-3"), "--events"), (("--rate", "0"), "--rate")):
            done = self.smoke(*arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(f"{word}: ", done.stderr)

    def test_the_ways_share_events_and_rate(self):
        self.assertEqual([s["events"] for s in self.sims_of("--events", "301")], [151, 150])
        self.assertEqual([s["events"] for s in self.sims_of("--events", "1")], [1])
        self.assertEqual([s["events"] for s in self.sims_of("--events", "301", "--direct", "0")], [301])
        self.assertEqual([s["rate"] for s in self.sims_of("--rate", "50")], [25, 25])
        self.assertEqual([s["rate"] for s in self.sims_of()], [500, 500])


if __name__ == "__main__":
    unittest.main(verbosity=2)
