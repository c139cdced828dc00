"""Twenty shapes of a bad network between gateway and cloud, one after another while events flow: nothing is lost, doubled or out
of order, and whatever happened is over when the network is (delivery cases 3, 5, 16, 17, 18)."""

import os
import random
import time
import unittest

from fault_proxy import Network
from harness import StackTest, names, wait_until

FAULTS = int(os.environ.get("SLUICE_NETWORK_FAULTS", "20"))
SEED = int(os.environ.get("SLUICE_SEED", str(random.SystemRandom().randrange(1 << 32))))
RATE = 500


class Shapes:
    """Each makes the network bad for a while; what came before it is over."""

    def __init__(self, network, dice):
        self.network, self.dice = network, dice

    def some(self):
        return self.dice.choice(list(self.network.proxies.values()))

    def wait(self, longest):
        # The moment is the point: any of them must do.
        time.sleep(self.dice.uniform(0.02, longest))

    def delay_20(self): self.network.all("delay", ms=20); self.wait(1)
    def delay_200(self): self.network.all("delay", ms=200); self.wait(1.5)
    def delay_that_changes(self):
        for ms in (5, 150, 0, 80):
            self.network.all("delay", ms=ms)
            self.wait(0.4)
    def stall(self): self.network.all("stall"); self.wait(1)
    def stall_of_one(self): self.some()("stall"); self.wait(2.5)
    def slow_reader(self):
        for _ in range(8):
            self.network.all("stall")
            time.sleep(0.1)
            self.network.all("resume")
            time.sleep(0.02)
    def reset(self): self.network.all("reset"); self.wait(0.5)
    def reset_of_one(self): self.some()("reset"); self.wait(0.5)
    def resets_in_a_row(self):
        for _ in range(6):
            self.network.all("reset")
            self.wait(0.3)
    def resets_across_streams(self):
        # One stream comes back while another goes: their order against each other is any.
        for proxy in self.dice.sample(list(self.network.proxies.values()), 3):
            proxy("reset")
            self.wait(0.2)
    def refuse(self): self.network.all("refuse"); self.wait(0.5)
    def down(self): self.network.all("refuse"); self.network.all("reset"); self.wait(1.5)
    def flapping(self):
        for _ in range(5):
            self.network.all("refuse")
            self.network.all("reset")
            self.wait(0.2)
            self.network.all("resume")
            self.wait(0.4)
    def half_open(self): self.network.all("half_open"); self.wait(2)
    def half_open_of_one(self): self.some()("half_open"); self.wait(2)
    def cut_between_commit_and_ack(self): self.network.all("cut", bytes=0, direction="down"); self.wait(0.7)
    def cut_in_an_ack(self): self.network.all("cut", bytes=self.dice.randrange(1, 60), direction="down"); self.wait(0.7)
    def cut_in_a_batch(self): self.network.all("cut", bytes=self.dice.randrange(1, 20_000), direction="up"); self.wait(1)
    def cut_in_hello(self):
        self.network.all("reset")
        self.network.all("cut", bytes=self.dice.randrange(1, 3000), direction="up")
        self.wait(1)
    def cut_in_welcome(self):
        self.network.all("reset")
        self.network.all("cut", bytes=self.dice.randrange(1, 3000), direction="down")
        self.wait(1)
    def cut_anywhere(self): self.network.all("cut", bytes=self.dice.randrange(0, 100_000), direction="both"); self.wait(1)


SHAPES = [name for name, value in vars(Shapes).items() if callable(value) and not name.startswith("_") and name not in ("some", "wait")]


class BadNetwork(StackTest):
    def test_nothing_is_lost_doubled_or_out_of_order(self):
        print(f"seed {SEED}, {FAULTS} faults of {len(SHAPES)} shapes", flush=True)
        self.assertGreaterEqual(len(SHAPES), 20)
        dice = random.Random(SEED)
        stack = self.new_stack(listener_devices=names(4, 2, 2))
        stack.start_cloud()
        network = Network(stack)
        self.addCleanup(network.stop)
        stack.start_gateway(config=stack.write_gateway_config(addresses=network.addresses))
        ledger = stack.folder / "sim/ledger.tsv"
        sim = stack.start_sim(vending=4, sensors=2, terminals=2, listener=stack.listener_url(), ca=stack.certificates.ca(),
                              credentials=stack.folder / "users", ledger=ledger, state=stack.folder / "sim", rate=RATE,
                              resend_after=2000, wait_receipts=120)
        wait_until(lambda: all(q["link"] == "streaming" for q in stack.status()["queues"]), 30, "streams stand", interval=0.05)
        shapes = Shapes(network, dice)
        done = 0
        while done < FAULTS:
            for name in dice.sample(SHAPES, min(len(SHAPES), FAULTS - done)):
                try:
                    getattr(shapes, name)()
                finally:
                    network.all("resume")
                    network.all("delay", ms=0)
                done += 1
                if dice.random() < 0.5:   # else the next one comes while this one is being recovered from
                    wait_until(lambda: all(q["link"] == "streaming" for q in stack.status()["queues"]), 60,
                               f"streams stand again after {name} (seed {SEED})", interval=0.05)
                if done % 100 == 0:
                    print(f"{done} faults", flush=True)
        self.assertEqual(sim.stop(seconds=150), 0, sim.tail())
        wait_until(lambda: all(q["pending"] == 0 for q in stack.status()["queues"]), 60, "all is delivered", interval=0.1)
        verdict = self.assert_exactly_once(stack, ledger, at_least=FAULTS * 50)
        verdict["faults"] = done
        print(verdict)


if __name__ == "__main__":
    unittest.main(verbosity=2)
