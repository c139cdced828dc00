"""One cloud service stopped for a while: the other two queues don't notice; it catches up."""

import os
import time
import unittest

from harness import StackTest, names, wait_until

OUTAGE_S = float(os.environ.get("SLUICE_OUTAGE_S", "60"))


class ServiceDown(StackTest):
    def test_others_go_on_and_it_catches_up(self):
        stack = self.new_stack(devices=names(4, 2, 2))
        stack.start_broker()
        stack.start_cloud(("shop",), name="cloud-shop")
        stack.start_cloud(("attendance",), name="cloud-attendance")
        stack.start_cloud(("inventory",), name="cloud-inventory")
        stack.start_gateway()
        ledger = stack.folder / "sim/ledger.tsv"
        sim = stack.start_sim(vending=4, sensors=2, terminals=2, broker=f"mqtts://127.0.0.1:{stack.broker_tls_port}",
                              ca=stack.certificates.ca(), users_dir=stack.folder / "users", ledger=ledger,
                              state=stack.folder / "sim", rate=500, resend_after=2000, wait_receipts=120)
        wait_until(lambda: self.queue(stack, "inventory")["acknowledged"] > 100 and
                   all(q["link"] == "streaming" for q in stack.status()["queues"]), 20, "events flow on every queue")
        stack.processes["cloud-inventory"].kill()
        down_at = self.queue(stack, "inventory")["acknowledged"]
        before = {q["name"]: q["acknowledged"] for q in stack.status()["queues"]}
        worst = {"attendance": 0, "shop-bulk": 0, "shop-urgent": 0}
        deadline = time.monotonic() + OUTAGE_S
        while time.monotonic() < deadline:
            for queue in stack.status()["queues"]:
                if queue["name"] in worst:
                    worst[queue["name"]] = max(worst[queue["name"]], queue["pending"])
                    self.assertEqual(queue["link"], "streaming", queue)
            time.sleep(0.25)
        after = {q["name"]: q for q in stack.status()["queues"]}
        # 500 events/s: what is under way at any moment stays far below half a second's worth.
        for name, pending in worst.items():
            self.assertLess(pending, 250, f"{name} noticed")
        self.assertGreater(after["shop-bulk"]["acknowledged"], before["shop-bulk"] + 10 * OUTAGE_S)
        self.assertGreater(after["attendance"]["acknowledged"], before["attendance"])
        self.assertLessEqual(after["inventory"]["acknowledged"], down_at)
        self.assertGreater(after["inventory"]["pending"], 0)
        self.assertGreater(after["inventory"]["stored"], 0, "an outage goes to the outbox")
        self.assertNotEqual(after["inventory"]["link"], "streaming")
        stack.start_cloud(("inventory",), name="cloud-inventory")
        wait_until(lambda: self.queue(stack, "inventory")["pending"] < 100, 30, "inventory catches up", interval=0.1)
        self.assertEqual(sim.stop(seconds=150), 0, sim.tail())
        self.assert_exactly_once(stack, ledger, at_least=int(OUTAGE_S * 300))


if __name__ == "__main__":
    unittest.main(verbosity=2)
