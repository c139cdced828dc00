"""A disk without room, under the gateway's state and under the cloud's stores: nobody is promised what cannot be kept, nothing is
lost or doubled, and all goes on soon after there is room again (delivery cases 14 and 15).

The disks are small tmpfs mounts. Where none may be mounted the test is skipped, visibly."""

import os
import random
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from harness import StackTest, names, wait_until

CYCLES = int(os.environ.get("SLUICE_DISK_CYCLES", "6"))
SEED = int(os.environ.get("SLUICE_SEED", str(random.SystemRandom().randrange(1 << 32))))
EDGE_S, CLOUD_S = 10, 15
SMALL = """
[journal]
segment_bytes = "256 KiB"
min_segments = 2
max_segments = 6
max_record_bytes = "16 KiB"

[intake]
max_event_bytes = "8 KiB"
"""


def mounted(folder, mib):
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "tmpfs", folder], capture_output=True).returncode == 0


def can_mount():
    with tempfile.TemporaryDirectory() as folder:
        if not mounted(Path(folder), 1):
            return False
        subprocess.run(["umount", folder], check=True)
        return True


class FullDisk(StackTest):
    def mount(self, folder, mib):
        self.assertTrue(mounted(folder, mib))
        self.addCleanup(lambda: subprocess.run(["umount", "-l", folder], check=False))   # after tearDown has ended the programs

    def fill(self, folder):
        """All of it: what is written from now on fails, but for what overwrites."""
        with open(folder / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass

    def free(self, folder):
        (folder / "filler").unlink()

    def acknowledged(self, stack):
        return sum(q["acknowledged"] for q in stack.status()["queues"])

    def pubacks(self, ledger):
        with open(ledger, encoding="utf-8") as lines:
            return sum(line.startswith("P\t") for line in lines)

    def streams(self, stack):
        return all(q["link"] == "streaming" for q in stack.status()["queues"])

    def test_both_sides(self):
        print(f"seed {SEED}, {CYCLES} cycles", flush=True)
        dice = random.Random(SEED)
        stack = self.new_stack(listener_devices=names(3, 2, 2))
        state, data = stack.folder / "gateway/state", stack.folder / "cloud"
        self.mount(state, 6)
        self.mount(data, 64)
        stack.start_cloud()
        stack.start_gateway(config=stack.write_gateway_config(extra=SMALL))
        ledger = stack.folder / "sim/ledger.tsv"
        sim = stack.start_sim(vending=3, sensors=2, terminals=2, listener=stack.listener_url(), ca=stack.certificates.ca(),
                              credentials=stack.folder / "users", ledger=ledger, state=stack.folder / "sim", rate=400,
                              resend_after=2000, wait_receipts=120)
        wait_until(lambda: self.streams(stack) and self.acknowledged(stack) > 200, 30, "events flow", interval=0.05)
        for cycle in range(CYCLES):
            (self.edge if cycle % 2 == 0 else self.cloud)(stack, ledger, state if cycle % 2 == 0 else data, dice)
        self.assertEqual(sim.stop(seconds=150), 0, sim.tail())
        wait_until(lambda: all(q["pending"] == 0 for q in stack.status()["queues"]), 60, "all is delivered", interval=0.1)
        verdict = self.assert_exactly_once(stack, ledger, at_least=100 * CYCLES)
        verdict["cycles"] = CYCLES
        print(verdict)

    def edge(self, stack, ledger, state, dice):
        # Without the cloud the backlog needs the disk; sooner or later nothing more is taken.
        stack.processes["sluice-cloud"].kill()
        time.sleep(dice.uniform(0, 0.5))
        self.fill(state)
        def stands_still():
            before = self.pubacks(ledger)
            time.sleep(0.7)
            return self.pubacks(ledger) == before
        wait_until(stands_still, 60, "a full disk ends the promises")
        if dice.random() < 0.5:   # and a start in the middle of it
            stack.processes["sluiced"].kill()
            stack.start_gateway(config=stack.gateway_config)
        self.free(state)
        before = self.pubacks(ledger)
        stack.start_cloud()
        wait_until(lambda: self.pubacks(ledger) > before, EDGE_S, f"devices are answered again (seed {SEED})", interval=0.05)
        wait_until(lambda: self.streams(stack), 30, "streams stand", interval=0.05)

    def cloud(self, stack, ledger, data, dice):
        self.fill(data)
        def stands_still():
            before = self.acknowledged(stack)
            time.sleep(0.7)
            return self.acknowledged(stack) == before
        wait_until(stands_still, 60, "a cloud without room acknowledges nothing")
        self.assertTrue(stack.processes["sluice-cloud"].alive(), stack.processes["sluice-cloud"].tail())
        pubacks = self.pubacks(ledger)
        wait_until(lambda: self.pubacks(ledger) > pubacks, 10, "the gateway takes events meanwhile")
        before = self.acknowledged(stack)
        self.free(data)
        wait_until(lambda: self.acknowledged(stack) > before + 50, CLOUD_S, f"it is delivered again (seed {SEED})", interval=0.05)


if __name__ == "__main__":
    if not can_mount():
        print("skipped: no tmpfs may be mounted here")
        sys.exit(77)
    unittest.main(verbosity=2)
