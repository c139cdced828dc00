"""The gateway's wall clock stands in 1970, jumps an hour back, ten years ahead and anywhere: events are taken and delivered in
order all the same, and links that a wrong clock kept away stand again soon after it is right (delivery cases 19 and 20, rule R13).

The clock is libfaketime's, the monotonic ones stay the machine's. Without libfaketime the test is skipped, visibly."""

import glob
import os
import random
import sys
import time
import unittest

from harness import StackTest, names, wait_until

JUMPS = int(os.environ.get("SLUICE_CLOCK_JUMPS", "12"))
SEED = int(os.environ.get("SLUICE_SEED", str(random.SystemRandom().randrange(1 << 32))))
LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
HOUR, YEAR = 3600, 365 * 86400


class WrongClock(StackTest):
    def set_clock(self, offset_s):
        new = self.offset.with_suffix(".new")
        new.write_text(f"{'-' if offset_s < 0 else '+'}{abs(int(offset_s))}")
        os.replace(new, self.offset)

    def test_nothing_depends_on_it(self):
        print(f"seed {SEED}, {JUMPS} jumps", flush=True)
        dice = random.Random(SEED)
        stack = self.new_stack(listener_devices=names(3, 2, 2))
        stack.start_cloud()
        self.offset = stack.folder / "clock"
        env = {"LD_PRELOAD": LIBRARY, "DONT_FAKE_MONOTONIC": "1", "FAKETIME_TIMESTAMP_FILE": str(self.offset), "FAKETIME_NO_CACHE": "1"}
        in_1970 = -(int(time.time()) - 86400)
        self.set_clock(in_1970)   # no battery: the box starts there
        stack.start_gateway(env=env)
        ledger = stack.folder / "sim/ledger.tsv"
        sim = stack.start_sim(vending=3, sensors=2, terminals=2, listener=stack.listener_url(), ca=stack.certificates.ca(),
                              credentials=stack.folder / "users", ledger=ledger, state=stack.folder / "sim", rate=300,
                              resend_after=2000, wait_receipts=120)
        # Nothing can be delivered before the certificates' time, and everything is taken.
        wait_until(lambda: stack.status()["accepted"] > 300, 30, "events are taken in 1970", interval=0.05)
        self.assertEqual(stack.status()["clock_state"], "unset")
        self.set_clock(0)
        self.await_streams(stack)
        for jump in range(JUMPS):
            self.set_clock(dice.choice([-HOUR, HOUR, 10 * YEAR, in_1970, dice.randint(-20 * YEAR, 60 * YEAR), dice.randint(-9, 9)]))
            time.sleep(dice.uniform(0.05, 0.8))   # the moment is the point
            how = dice.random()
            if how < 0.2:
                stack.processes["sluiced"].kill()
                stack.start_gateway(config=stack.gateway_config, env=env)
            elif how < 0.4:
                stack.processes["sluice-cloud"].kill()
                stack.start_cloud()
            if dice.random() < 0.5:
                self.set_clock(0)
                self.await_streams(stack)
        self.set_clock(0)
        self.await_streams(stack)
        self.assertEqual(sim.stop(seconds=150), 0, sim.tail())
        wait_until(lambda: all(q["pending"] == 0 for q in stack.status()["queues"]), 60, "all is delivered", interval=0.1)
        verdict = self.assert_exactly_once(stack, ledger, at_least=300 + 50 * JUMPS)
        self.assertEqual(verdict["declared_lost"], 0, verdict)   # nothing goes by age
        verdict["jumps"] = JUMPS
        print(verdict)

    def await_streams(self, stack):
        wait_until(lambda: all(q["link"] == "streaming" for q in stack.status()["queues"]), 60,
                   f"streams stand while the clock is right (seed {SEED})", interval=0.05)


if __name__ == "__main__":
    if LIBRARY is None:
        print("skipped: libfaketime is not installed (package faketime)")
        sys.exit(77)
    unittest.main(verbosity=2)
