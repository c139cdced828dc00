"""A long outage: the backlog is kept in little memory, a start with it is quick, and live critical events do not wait behind it
(delivery case 40)."""

import os
import time
import unittest

from harness import StackTest, names, wait_until

EVENTS = int(os.environ.get("SLUICE_BACKLOG", "100000"))
RSS_MIB, START_S = 64, 5


def peak_rss_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


class Backlog(StackTest):
    def sim(self, stack, name, **options):
        ledger = stack.folder / f"sim/{name}.tsv"
        self.ledgers.append(ledger)
        return stack.start_sim(name=f"sim-{name}", listener=stack.listener_url(), ca=stack.certificates.ca(),
                               credentials=stack.folder / "users", ledger=ledger, state=stack.folder / f"sim/{name}",
                               wait_receipts=600, **options)

    def test_it_is_kept_and_delivered(self):
        self.ledgers = []
        stack = self.new_stack(listener_devices=names(20) + [f"live-{name}" for name in names(2)])
        stack.start_cloud()
        stack.start_gateway()
        wait_until(lambda: all(q["link"] == "streaming" for q in stack.status()["queues"]), 30, "streams stand")
        stack.processes["sluice-cloud"].stop()
        began = time.monotonic()
        load = self.sim(stack, "backlog", vending=20, flat_out=True, events=EVENTS, window=1024, payload_bytes=200, critical_share=0)
        self.assertEqual(load.popen.wait(60 + EVENTS / 1000), 0, load.tail())
        taken_s = time.monotonic() - began
        rss = peak_rss_mib(stack.processes["sluiced"].pid)
        stack.processes["sluiced"].kill()
        began = time.monotonic()
        gateway = stack.start_gateway(config=stack.gateway_config)
        start_s = time.monotonic() - began
        self.assertLess(start_s, START_S, "with the backlog it starts as quickly")
        self.assertGreaterEqual(self.queue(stack, "shop-bulk")["pending"], EVENTS)
        stack.start_cloud()
        live = self.sim(stack, "live", vending=2, prefix="live-", rate=100, events=300, critical_share=1.0)
        began, worst = time.monotonic(), 0
        while (bulk := self.queue(stack, "shop-bulk")["pending"]) > 0 or live.popen.poll() is None:
            if bulk > 1000:
                worst = max(worst, self.queue(stack, "inventory")["pending"])
            self.assertLess(time.monotonic() - began, 60 + EVENTS / 1000)
            time.sleep(0.05)
        drain_s = time.monotonic() - began
        self.assertEqual(live.popen.wait(60), 0, live.tail())
        self.assertLess(worst, 100, "a second's worth of live events: they waited behind the backlog")
        rss = max(rss, peak_rss_mib(gateway.pid))
        self.assertLess(rss, RSS_MIB)
        code, verdict = stack.judge(self.ledgers, wait=60)
        self.assertEqual((code, verdict["missing"], verdict["duplicates"], verdict["order_breaks"], verdict["declared_lost"]),
                         (0, 0, 0, 0, 0), verdict)
        self.assertGreaterEqual(verdict["accepted"], EVENTS)
        verdict.update(events=EVENTS, rss_mib=round(rss, 1), start_s=round(start_s, 2), taken_eps=round(EVENTS / taken_s),
                       drain_eps=round(EVENTS / drain_s))
        print(verdict)


if __name__ == "__main__":
    unittest.main(verbosity=2)
