"""kill -9 of the daemon moments after its start, several times in a row, of the broker and of the cloud: in any order, with
and without the broker's memory of our session. Nothing is lost, doubled or out of order, and nothing even comes late: each
device begins a connection with its lowest open event, so that what reaches us reaches us in order."""

import os
import random
import signal
import time
import unittest

from harness import StackTest, names

SECONDS = float(os.environ.get("SLUICE_STORM_S", "15"))
RATE = int(os.environ.get("SLUICE_RATE", "700"))
SEED = int(os.environ.get("SLUICE_SEED", str(random.SystemRandom().randrange(1 << 32))))


class Storm(StackTest):
    def setUp(self):
        super().setUp()
        self.dice = random.Random(SEED)
        self.kills = {"gateway": 0, "broker": 0, "cloud": 0}

    def chance(self, share):
        return self.dice.random() < share

    def pause(self, longest):
        # The moment is the point of the test: any of them must do.
        time.sleep(self.dice.uniform(0, longest))

    def kill(self, what, process):
        process.kill()
        self.kills[what] += 1

    def kill_broker(self):
        # It saves its sessions on this signal and otherwise once a minute: without it, it comes back without ours.
        if self.chance(0.4):
            self.broker.popen.send_signal(signal.SIGUSR1)
            self.pause(0.1)
        self.kill("broker", self.broker)
        self.pause(0.3)
        self.broker = self.stack.start_broker()
        self.pause(0.5)

    def gust(self):
        # Without the cloud, what the gateway takes in one life is left for the next ones to deliver, in order.
        cloudless = self.chance(0.4)
        if cloudless:
            self.kill("cloud", self.cloud)
        kills = self.dice.randint(3, 5) if cloudless else self.dice.randint(1, 4)
        broker_at = self.dice.randrange(kills) if self.chance(0.5) else None
        for i in range(kills):
            deaths = [lambda: self.kill("gateway", self.gateway)] + ([self.kill_broker] if i == broker_at else [])
            for death in self.dice.sample(deaths, len(deaths)):
                death()
            self.gateway = self.stack.start_gateway(config=self.stack.gateway_config, ready=False)
            self.pause(0.05 if self.chance(0.5) else 0.6)
        if cloudless:
            self.cloud = self.stack.start_cloud()

    def test_order_outlives_the_death_of_everyone(self):
        print(f"seed {SEED}, {SECONDS} s at {RATE} events/s", flush=True)
        self.stack = stack = self.new_stack(devices=names(6, 3, 3))
        self.broker = stack.start_broker()
        self.cloud = stack.start_cloud()
        self.gateway = stack.start_gateway()
        ledger = stack.folder / "sim/ledger.tsv"
        sim = stack.start_sim(vending=6, sensors=3, terminals=3, broker=f"mqtts://localhost:{stack.broker_tls_port}",
                              ca=stack.certificates.ca(), users_dir=stack.folder / "users", ledger=ledger,
                              state=stack.folder / "sim", rate=RATE, duration=SECONDS, seed=SEED, resend_after=1000,
                              wait_receipts=60)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.pause(1)
            self.gust()
        self.gateway.expect(stack._subscribed, 20, "is connected to the broker")
        # Ends well only when a receipt has named every event.
        self.assertEqual(sim.popen.wait(timeout=90), 0, sim.tail())
        verdict = self.assert_exactly_once(stack, ledger, at_least=int(SECONDS * RATE / 4))
        print(self.kills, verdict)
        self.assertEqual((verdict["open"], verdict["lost_in_broker"], verdict["late"]), (0, 0, 0), verdict)


if __name__ == "__main__":
    unittest.main(verbosity=2)
