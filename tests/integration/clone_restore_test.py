"""Boxes that live twice, boxes and clouds that are set back to an old copy: nothing is lost or doubled, and one box keeps the
lease (delivery cases 8, 9, 11, 25)."""

import os
import shutil
import sqlite3
import time
import unittest

from harness import StackTest, names, wait_until

SERVICES = ("shop", "inventory", "attendance")
LEASE_MS = 15_000


class CloneRestore(StackTest):
    def setUp(self):
        super().setUp()
        self.ledgers = []

    # -- the boxes and the cloud

    def box(self, prefix, hardware, cloud=None):
        """A box with devices of its own: the first brings the cloud, others have its certificate and its cloud."""
        stack = self.new_stack(listener_devices=[prefix + name for name in names(2, 1, 1)])
        stack.prefix = prefix
        stack.gateway_settings = {"gateway": {"hardware_id": hardware}, "sync": {"lease_renew_ms": 2000}}
        if cloud is None:
            stack.cloud_sync = {"lease_ms": LEASE_MS}
            stack.start_cloud()
        else:
            stack.certificates, stack.cloud_addresses = cloud.certificates, cloud.cloud_addresses
        return stack

    def talk(self, stack, events=120):
        """The box's devices say something, and hear that it is safe."""
        ledger = stack.folder / "sim/ledger.tsv"
        if ledger not in self.ledgers:
            self.ledgers.append(ledger)
        sim = stack.start_sim(vending=2, sensors=1, terminals=1, prefix=stack.prefix, listener=stack.listener_url(),
                              ca=stack.certificates.ca(), credentials=stack.folder / "users", ledger=ledger,
                              state=stack.folder / "sim", rate=400, events=events, wait_receipts=30)
        self.assertEqual(sim.popen.wait(60), 0, sim.tail())

    def kill(self, stack):
        stack.processes["sluiced"].kill()

    def stop(self, stack):
        self.assertEqual(stack.processes["sluiced"].stop(), 0)

    def state(self, stack):
        return stack.folder / "gateway/state"

    def copy(self, source, target):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)

    # -- what is seen

    def links(self, stack):
        return {queue["name"]: queue["link"] for queue in stack.status()["queues"]}

    def streams(self, stack):
        return all(link == "streaming" for link in self.links(stack).values())

    def drained(self, stack):
        return self.streams(stack) and all(queue["pending"] == 0 for queue in stack.status()["queues"])

    def waits_for_the_lease(self, stack):
        status = stack.status()
        return (all(queue["link"] != "streaming" for queue in status["queues"]) and
                sum(warning["code"].startswith("sync_lease_held") for warning in status["warnings"]) == 4)

    def await_drained(self, stack, seconds=40):
        wait_until(lambda: self.drained(stack), seconds, "everything is delivered", interval=0.1)

    def await_turned_away(self, stack, seconds=40):
        wait_until(lambda: self.waits_for_the_lease(stack), seconds, "waits for the lease and says so", interval=0.1)

    def audit(self, cloud, what):
        with sqlite3.connect(f"file:{cloud.folder}/cloud/inventory.db?mode=ro", uri=True) as db:
            return db.execute("SELECT detail FROM audit WHERE what = ?", (what,)).fetchall()

    def judge(self, cloud, at_least):
        code, verdict = cloud.judge(self.ledgers, wait=30)
        self.assertGreaterEqual(verdict["accepted"], at_least, verdict)
        self.assertEqual((verdict["missing"], verdict["duplicates"], verdict["order_breaks"]), (0, 0, 0), verdict)
        self.assertEqual(code, 0, verdict)
        print(verdict, flush=True)

    def cloned(self, cloud, first, other_hardware):
        """A copy of the first box's state as a power cut left it, with events in it that nobody has delivered."""
        self.talk(first)
        self.await_drained(first)
        cloud.processes["sluice-cloud"].kill()
        self.talk(first)
        self.kill(first)
        second = self.box("b-", other_hardware, cloud)
        self.copy(self.state(first), self.state(second))
        cloud.start_cloud()
        return second

    # -- the cases

    def test_a_copied_card_on_other_hardware_waits_until_the_first_has_gone(self):
        first = cloud = self.box("", "box-1")
        first.start_gateway()
        second = self.cloned(cloud, first, "box-2")
        first.start_gateway(config=first.gateway_config)
        wait_until(lambda: self.streams(first), 40, "the first has the lease", interval=0.1)
        second.start_gateway()
        self.await_turned_away(second)
        self.talk(second)
        self.talk(first)
        self.await_drained(first)
        # It stays so, over several tries of the one that waits.
        for _ in range(20):
            self.assertTrue(self.streams(first))
            self.assertTrue(self.waits_for_the_lease(second))
            time.sleep(0.25)
        self.assertTrue(self.audit(cloud, "lease_refused"))
        self.stop(first)
        self.await_drained(second)
        self.judge(cloud, at_least=480)

    def test_of_two_boxes_that_cannot_be_told_apart_one_keeps_the_lease(self):
        first = cloud = self.box("", "board-without-a-number")
        first.start_gateway()
        second = self.cloned(cloud, first, "board-without-a-number")
        first.start_gateway(config=first.gateway_config)
        wait_until(lambda: self.streams(first), 40, "the first has the lease", interval=0.1)
        second.start_gateway()   # may be a restart of the first, for all that the cloud can tell
        wait_until(lambda: self.streams(second), 40, "the second takes it", interval=0.1)
        self.talk(first)
        self.await_turned_away(first)
        self.talk(second)
        for _ in range(20):
            self.assertTrue(self.streams(second))
            self.assertTrue(self.waits_for_the_lease(first))
            time.sleep(0.25)
        flagged = self.audit(cloud, "lease_refused")
        self.assertTrue(flagged)
        self.await_drained(second)
        self.stop(second)
        self.await_drained(first)
        self.judge(cloud, at_least=480)

    def test_a_cloud_and_a_box_are_set_back_to_old_copies(self):
        box = cloud = self.box("", "box-1")
        box.start_gateway()
        self.talk(box)
        self.await_drained(box)
        cloud.processes["sluice-cloud"].stop()
        self.stop(box)
        self.copy(cloud.folder / "cloud", cloud.folder / "cloud-copy")
        self.copy(self.state(box), box.folder / "state-copy")
        cloud.start_cloud()
        for _ in range(3):   # epochs that the copy knows nothing of
            box.start_gateway(config=box.gateway_config)
            self.talk(box, events=60)
            self.await_drained(box)
            self.stop(box)

        # The cloud, while the gateway was off: what it lacks is sent again.
        cloud.processes["sluice-cloud"].stop()
        self.copy(cloud.folder / "cloud-copy", cloud.folder / "cloud")
        cloud.start_cloud(extra=("--restored",))
        box.start_gateway(config=box.gateway_config)
        self.talk(box, events=60)
        self.await_drained(box)
        self.judge(cloud, at_least=360)

        # The box: what its copy still held is skipped as applied.
        self.kill(box)
        self.copy(box.folder / "state-copy", self.state(box))
        box.start_gateway(config=box.gateway_config)
        self.talk(box, events=60)
        self.await_drained(box)
        self.judge(cloud, at_least=420)

    def test_what_stands_under_our_keys_is_another_boxs(self):
        box = cloud = self.box("", "box-1")
        box.start_gateway()
        self.talk(box)
        self.await_drained(box)
        cloud.processes["sluice-cloud"].kill()
        self.talk(box)
        before = box.status()["epoch"]
        # As a twin of the running box would leave it: further on, and with its own event there.
        for service in SERVICES:
            with sqlite3.connect(cloud.folder / f"cloud/{service}.db") as db:
                changed = db.execute("UPDATE cursors SET number = number + 3, event_id = ? WHERE epoch = ?",
                                     ("5eed" * 8, before)).rowcount
            self.assertGreater(changed, 0)
        cloud.start_cloud()
        self.await_drained(box)
        status = box.status()
        self.assertNotEqual(status["epoch"], before)
        self.assertTrue([w for w in status["warnings"] if w["code"].startswith(("sync_cloned", "sync_ack_beyond_sent"))], status)
        self.talk(box)
        self.await_drained(box)
        self.kill(box)
        box.start_gateway(config=box.gateway_config)
        self.await_drained(box)
        self.judge(cloud, at_least=360)

    def test_a_certificate_of_another_shop_needs_no_restart(self):
        box = cloud = self.box("", "box-1")
        box.start_gateway()
        self.talk(box)
        self.await_drained(box)
        before = box.status()
        cert, key = box.certificates.gateway(box.gateway_id, box.shop_id)
        moved = box.certificates.issue("moved", f"spiffe://{box.certificates.trust_domain}/shop/shop-2/gateway/{box.gateway_id}")
        for source, target in zip(moved, (cert, key)):
            shutil.copy(source, f"{target}.new")
            os.replace(f"{target}.new", target)
        wait_until(lambda: box.status()["shop_id"] == "shop-2", 20, "the shop changes", interval=0.1)
        self.assertNotEqual(box.status()["epoch"], before["epoch"])
        self.talk(box)
        self.await_drained(box)
        with sqlite3.connect(f"file:{cloud.folder}/cloud/inventory.db?mode=ro", uri=True) as db:
            shops = dict(db.execute("SELECT shop, count(DISTINCT epoch) FROM epochs GROUP BY shop").fetchall())
            self.assertEqual(set(shops), {"shop-1", "shop-2"}, shops)
            self.assertEqual(db.execute("SELECT count(*) FROM dead_letters").fetchone()[0], 0)
        self.judge(cloud, at_least=240)


if __name__ == "__main__":
    unittest.main(verbosity=2)
