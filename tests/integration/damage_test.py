"""Whatever lies broken in the state folder, the daemon starts, takes a new event within 5 s, and what is lost is declared.

A daemon is killed with events pending in journal and outbox. Its state folder is copied, damaged, and started with a fresh
cloud; the judge then holds the simulators' ledger against what arrived. The table damages each file in each way, one by
one; the random part damages pairs, and fills the disk (a small tmpfs, where the machine lets us mount one).
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from harness import StackTest, names, wait_until

DAMAGES = int(os.environ.get("SLUICE_DAMAGES", "8"))
SEED = int(os.environ.get("SLUICE_SEED", str(random.SystemRandom().randrange(1 << 32))))
FIRST_EVENT_S = 5
SMALL = """
[journal]
segment_bytes = "256 KiB"
max_segments = 6
max_record_bytes = "16 KiB"

[intake]
max_event_bytes = "8 KiB"
"""


def truncate(path, dice):
    os.truncate(path, 0)


def halve(path, dice):
    os.truncate(path, path.stat().st_size // 2)


def garbage(path, dice):
    path.write_bytes(dice.randbytes(path.stat().st_size or 100))


def zeros(path, dice):
    path.write_bytes(bytes(path.stat().st_size))


def missing(path, dice):
    path.unlink()


def folder(path, dice):
    path.unlink()
    path.mkdir()


def some_block(path, dice):
    blocks = max(1, path.stat().st_size // 4096)
    with path.open("r+b") as file:
        for _ in range(dice.randrange(1, 4)):
            file.seek(dice.randrange(blocks) * 4096)
            file.write(dice.choice([bytes(4096), dice.randbytes(4096)]))


def flip(path, dice):
    size = path.stat().st_size
    if size == 0:
        return
    with path.open("r+b") as file:
        for _ in range(dice.randrange(1, 5)):
            at = dice.randrange(size)
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << dice.randrange(8))]))


WHOLE = [truncate, halve, garbage, zeros, missing, folder]
ALL = WHOLE + [some_block, flip]


class Damage(StackTest):
    @classmethod
    def setUpClass(cls):
        cls.dice = random.Random(SEED)
        print(f"seed {SEED}, {DAMAGES} random damages", flush=True)

    def collect(self, clean):
        """A stack whose gateway took events in two runs with no cloud, and ended the second by kill -9 or in order."""
        stack = self.new_stack(devices=names(3, 2, 2) + ["probe"])
        stack.start_broker()
        stack.start_cloud()
        stack.processes["sluice-cloud"].stop()
        config = stack.write_gateway_config(extra=SMALL)
        self.ledger = stack.folder / "sim/ledger.tsv"
        for run in range(2):
            stack.start_gateway(config=config)
            sim = stack.start_sim(vending=3, sensors=2, terminals=2, broker=f"mqtts://localhost:{stack.broker_tls_port}",
                                  ca=stack.certificates.ca(), users_dir=stack.folder / "users", ledger=self.ledger,
                                  state=stack.folder / "sim", events=1500, rate=300, wait_receipts=30)
            self.assertEqual(sim.popen.wait(90), 0, sim.tail())
            if run == 1 and clean:
                stack.processes["sluiced"].stop()
            else:
                stack.processes["sluiced"].kill()
        stack.processes.pop("sim")
        shutil.copytree(stack.folder / "gateway/state", stack.folder / "template")
        return stack

    def publish(self, stack, seq):
        password = (stack.folder / "users/probe").read_text()
        body = f'{{"boot":{int(time.time() * 1000)},"seq":{seq},"selection":"A1","product":"cola","price":150,"currency":"EUR"}}'
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(stack.broker_port), "-V", "5", "-q", "1", "-u", "probe",
                        "-P", password, "-t", "sluice/v1/probe/sale", "-s"], input=body.encode(), check=True, timeout=20)

    def round(self, stack, damage, what, full=False):
        """`damage` breaks the state folder; everything that was not hit arrives, the rest is declared. With `full` the disk
        is full until the first event was taken."""
        target = stack.folder / "gateway/state"
        for entry in list(target.iterdir()):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        shutil.copytree(stack.folder / "template", target, dirs_exist_ok=True)
        for entry in (stack.folder / "cloud").iterdir():
            entry.unlink()
        damage(target)
        ballast = target / "ballast"
        if full:
            self.fill(ballast)
        stack.start_cloud()
        began = time.monotonic()
        try:
            gateway = stack.start_gateway(config=stack.gateway_config)
            self.publish(stack, 1)
            wait_until(lambda: stack.status()["accepted"] >= 1, 10, "the first new event")
            took = time.monotonic() - began
            self.assertLess(took, FIRST_EVENT_S, what)
            if full:
                during = [w["code"] for w in stack.status()["warnings"]]
                what += f" (while full {during})"
                ballast.unlink()
            wait_until(lambda: all(q["pending"] == 0 for q in stack.status()["queues"]), 30, "all delivered or declared")
            code, verdict = stack.judge([self.ledger], wait=0)
            status = stack.status()
        except Exception:
            status = stack.status_or_none()
            print(f"{what}: failed\n{status and status['queues']}\n{stack.processes['sluiced'].tail(40)}", flush=True)
            raise
        finally:
            stack.processes["sluiced"].stop()
            stack.processes["sluice-cloud"].stop()
        lost = verdict["missing_effects"]
        note = (f"{what}: {took:.1f} s, missing {lost}, declared {verdict['declared_lost']}, warnings "
                f"{[w['code'] for w in status['warnings']]}")
        print(note, flush=True)
        self.assertEqual((verdict["unexplained"], verdict["duplicates"], verdict["order_breaks"]), (0, 0, 0), f"{note}\n{verdict}")
        return verdict, status

    def fill(self, ballast):
        with ballast.open("wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    def files(self, stack):
        template = stack.folder / "template"
        return sorted(p.relative_to(template) for p in template.rglob("*") if p.is_file())

    def test_each_file_in_each_way(self):
        stack = self.collect(clean=False)
        for name in self.files(stack):
            for way in WHOLE:
                with self.subTest(file=str(name), way=way.__name__):
                    self.round(stack, lambda state: way(state / name, self.dice), f"{name} {way.__name__}")

    def test_pairs_at_random(self):
        stack = self.collect(clean=self.dice.random() < 0.3)
        every = self.files(stack)
        for turn in range(DAMAGES):
            # Of three, newest segment, positions and their copy may be all: nothing tells then where the last run ended
            # (gateway/journal/FORMAT.md, "Downsides").
            chosen = self.dice.sample(every, self.dice.choice([1, 2, 2]))
            ways = [(name, self.dice.choice(ALL)) for name in chosen]
            what = f"{turn}: " + ", ".join(f"{name} {way.__name__}" for name, way in ways)
            with self.subTest(what=what):
                self.round(stack, lambda state: [way(state / name, self.dice) for name, way in ways], what)

    def mount_small_disk(self, stack):
        """The state folder on a tmpfs with room for a salvage beside what is there."""
        template, target = stack.folder / "template", stack.folder / "gateway/state"
        size = 3 * sum(p.stat().st_size for p in template.rglob("*") if p.is_file()) + (1 << 20)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", target], capture_output=True, text=True)
        if mounted.returncode:
            self.skipTest(f"no small disk here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", target], capture_output=True)
        return target

    def test_on_a_disk_that_only_reads(self):
        """As a card is that the kernel mounted read-only after errors: nothing is taken, what is there is delivered."""
        stack = self.collect(clean=self.dice.random() < 0.3)
        target = self.mount_small_disk(stack)
        shutil.copytree(stack.folder / "template", target, dirs_exist_ok=True)
        for entry in (stack.folder / "cloud").iterdir():
            entry.unlink()
        subprocess.run(["mount", "-o", "remount,ro", target], check=True)
        stack.start_cloud()
        stack.start_gateway(config=stack.gateway_config)
        self.publish(stack, 1)
        wait_until(lambda: sum(q["acknowledged"] for q in stack.status()["queues"]) > 0, 20, "what can be read is delivered")
        self.assertEqual(stack.status()["accepted"], 0)
        codes = [w["code"] for w in stack.status()["warnings"]]
        print("read-only:", codes, flush=True)
        self.assertIn("outbox_not_written", codes)
        subprocess.run(["mount", "-o", "remount,rw", target], check=True)
        wait_until(lambda: stack.status()["accepted"] >= 1, 40, "the event is taken once the disk can be written")
        wait_until(lambda: all(q["pending"] == 0 for q in stack.status()["queues"]), 60, "all delivered")
        code, verdict = stack.judge([self.ledger], wait=10)
        self.assertEqual((verdict["missing"], verdict["duplicates"], verdict["order_breaks"]), (0, 0, 0), verdict)

    def test_on_a_full_disk(self):
        stack = self.collect(clean=self.dice.random() < 0.3)
        target = self.mount_small_disk(stack)
        every = self.files(stack)
        for turn in range(DAMAGES):
            chosen = self.dice.sample(every, self.dice.choice([0, 1, 1, 2]))
            ways = [(name, self.dice.choice(ALL)) for name in chosen]
            what = f"full {turn}: " + ", ".join(f"{name} {way.__name__}" for name, way in ways)
            with self.subTest(what=what):
                self.round(stack, lambda state: [way(state / name, self.dice) for name, way in ways], what, full=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
