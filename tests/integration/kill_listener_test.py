"""kill -9 of the daemon at any moment while devices on its own listener send 1,000 events/s and trust its PUBACK alone: no
receipts. What was acknowledged took effect, once and in order."""

import json
import os
import random
import time
import unittest

from harness import StackTest, wait_until
from demo import free_port  # noqa: E402 (harness sets the path)

KILLS = int(os.environ.get("SLUICE_KILLS", "20"))
SEED = int(os.environ.get("SLUICE_SEED", str(random.SystemRandom().randrange(1 << 32))))
FAMILIES = {"vending": 6, "sensors": 3, "terminals": 3}
DEVICES = [f"{stem}-{i + 1:04}" for stem, count in zip(("vm", "sensor", "term"), FAMILIES.values()) for i in range(count)]


class Network:
    """sluice-tcp-proxy before the listener."""

    def __init__(self, stack):
        self.port = free_port()
        self.process = stack._start("proxy", [stack.binaries / "sluice-tcp-proxy", "--listen", f"127.0.0.1:{self.port}", "--to",
                                              f"127.0.0.1:{stack.listener_port}"], stdin=-1)
        self.process.expect(lambda: stack._answers(self.port), 10, "listens")

    def tell(self, **command):
        self.process.popen.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.popen.stdin.flush()


class KillListener(StackTest):
    def run_chain(self, network=False, **options):
        """Starts everything; `storm(stack, dice)` of the test goes on from there."""
        print(f"seed {SEED}, {KILLS} kills", flush=True)
        self.dice = random.Random(SEED)
        self.stack = stack = self.new_stack(listener_devices=DEVICES)
        stack.start_cloud()
        stack.start_gateway()
        self.network = Network(stack) if network else None
        self.ledger = stack.folder / "sim/ledger.tsv"
        url = f"mqtts://127.0.0.1:{self.network.port}" if network else stack.listener_url()
        self.sim = stack.start_sim(**FAMILIES, listener=url, ca=stack.certificates.ca(), credentials=stack.folder / "users",
                                   ledger=self.ledger, state=stack.folder / "sim", rate=1000, wait_receipts=120, json=True, **options)

    def pause(self, longest):
        # The moment is the point of the test: any of them must do.
        time.sleep(self.dice.uniform(0.05, longest))

    def kill(self):
        self.stack.processes["sluiced"].kill()
        self.stack.start_gateway(config=self.stack.gateway_config, ready=self.dice.random() < 0.7)

    def judge(self):
        """The simulator ends well only when each event has its PUBACK. Its totals."""
        wait_until(lambda: self.stack._subscribed(), 20, "the gateway listens")
        if self.network:
            self.network.process.popen.stdin.close()
        self.assertEqual(self.sim.stop(seconds=150), 0, self.sim.tail())
        verdict = self.assert_exactly_once(self.stack, self.ledger, at_least=KILLS * 100)
        totals = json.loads(next(line for line in self.sim.tail().splitlines() if line.startswith("{")))
        print(verdict, totals, flush=True)
        self.assertEqual((verdict["open"], verdict["lost_in_broker"], verdict["refused"]), (0, 0, 0), verdict)
        self.assertEqual(totals["receipts"], 0, "nobody asked for receipts")
        self.assertGreaterEqual(totals["disconnects"], KILLS, totals)
        return totals

    def test_with_a_clean_session_each_time(self):
        self.run_chain(session="clean")
        for _ in range(KILLS):
            self.pause(1.2)
            self.kill()
        self.assertEqual(self.judge()["dup"], 0)

    def test_with_sessions_that_are_resumed_with_dup(self):
        # A kill takes the sessions with it; a connection that is cut does not.
        self.run_chain(network=True, session="resume", dup_always=True)
        for _ in range(KILLS):
            for _ in range(self.dice.randrange(3)):
                self.pause(0.4)
                self.network.tell(**self.dice.choice([
                    {"fault": "reset"}, {"fault": "cut", "bytes": self.dice.randrange(20_000), "direction": self.dice.choice(["up", "down"])}]))
            self.pause(0.8)
            self.kill()
        self.assertGreater(self.judge()["dup"], 0)

    def test_of_devices_that_resume_only_what_the_listener_knows(self):
        self.run_chain(network=True, session="resume", mqtt="3.1.1")
        for _ in range(KILLS):
            self.pause(0.6)
            self.network.tell(fault="reset")
            self.pause(0.6)
            if self.dice.random() < 0.5:
                self.kill()
        totals = self.judge()
        self.assertGreater(totals["dup"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
