"""kill -9 of the daemon at any moment while 1,000 events/s flow loses and doubles nothing."""

import os
import random
import time
import unittest

from harness import StackTest, flow, names

KILLS = int(os.environ.get("SLUICE_KILLS", "20"))
RATE = 1000   # events per second
SEED = int(os.environ.get("SLUICE_SEED", str(random.SystemRandom().randrange(1 << 32))))


class KillGateway(StackTest):
    def test_kill_nine_loses_and_doubles_nothing(self):
        print(f"seed {SEED}, {KILLS} kills", flush=True)
        dice = random.Random(SEED)
        stack = self.new_stack(devices=names(6, 3, 3))
        stack.start_broker()
        stack.start_cloud()
        gateway = stack.start_gateway()
        ledger = stack.folder / "sim/ledger.tsv"
        sim = stack.start_sim(vending=6, sensors=3, terminals=3, broker=f"mqtts://127.0.0.1:{stack.broker_tls_port}", ca=stack.certificates.ca(),
                              users_dir=stack.folder / "users", ledger=ledger, state=stack.folder / "sim", rate=RATE,
                              resend_after=1000, wait_receipts=120)
        for _ in range(KILLS):
            # The moment is the point of the test: any of them must do.
            time.sleep(dice.uniform(0.05, 1.2))
            gateway.kill()
            killed = time.time()
            gateway = stack.start_gateway(config=stack.gateway_config, ready=dice.random() < 0.7)
        time.sleep(1)
        self.assertEqual(sim.stop(seconds=150), 0, sim.tail())
        events, seconds = flow(ledger, until=killed)
        print(f"{events / seconds:.0f} events/s up to the last kill", flush=True)
        # Room for a busy machine; the simulator makes up for what it was late with.
        self.assertGreaterEqual(events, 0.7 * RATE * seconds - 200)
        verdict = self.assert_exactly_once(stack, ledger, at_least=events)
        print(verdict)


if __name__ == "__main__":
    unittest.main(verbosity=2)
