"""Backups of the running cloud and their way back: the gateway sends again what the restored stores lack, and names what
nobody has any more (delivery case 11)."""

import json
import sqlite3
import subprocess
import unittest

from harness import StackTest, names, wait_until

SERVICES = ("shop", "inventory", "attendance")


class BackupRestore(StackTest):
    def start(self, **settings):
        self.stack = self.new_stack(listener_devices=names(2, 1, 1))
        self.ledger = self.stack.folder / "sim/ledger.tsv"
        self.stack.start_cloud()
        extra = "".join(f"\n[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
                        for section, values in settings.items())
        self.stack.start_gateway(self.stack.write_gateway_config(extra=extra))

    def sim(self, events, rate=400):
        stack = self.stack
        return stack.start_sim(vending=2, sensors=1, terminals=1, listener=stack.listener_url(), ca=stack.certificates.ca(),
                               credentials=stack.folder / "users", ledger=self.ledger, state=stack.folder / "sim", rate=rate,
                               events=events, wait_receipts=60)

    def talk(self, events):
        sim = self.sim(events)
        self.assertEqual(sim.popen.wait(90), 0, sim.tail())
        self.await_drained()

    def await_drained(self):
        wait_until(lambda: all(q["pending"] == 0 and q["link"] == "streaming" for q in self.stack.status()["queues"]), 60,
                   "everything is delivered", interval=0.1)

    def cloud_tool(self, *arguments, code=0):
        done = subprocess.run([self.stack.binaries / "sluice-cloud", *map(str, arguments), "--data", self.stack.folder / "cloud"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def acknowledged(self):
        return sum(q["acknowledged"] for q in self.stack.status()["queues"])

    def await_acknowledged(self, events):
        wait_until(lambda: self.acknowledged() >= events, 60, f"{events} events are delivered", interval=0.05)

    def rows(self, service, query):
        with sqlite3.connect(f"file:{self.stack.folder}/cloud/{service}.db?mode=ro", uri=True) as db:
            return db.execute(query).fetchall()

    def generations(self):
        return [self.rows(service, "SELECT generation FROM store_generation")[0][0] for service in SERVICES]

    def applied(self):
        return sum(self.rows(service, "SELECT coalesce(sum(number), 0) FROM cursors")[0][0] for service in SERVICES)

    def test_a_backup_under_load_comes_back_and_the_gateway_rewinds(self):
        self.start()
        stack, backup = self.stack, self.stack.folder / "backup"
        sim = self.sim(2400)
        self.await_acknowledged(600)
        self.cloud_tool("backup", "--to", backup)
        taken = self.acknowledged()
        self.assertIn("is there already", self.cloud_tool("backup", "--to", backup, code=1))
        self.await_acknowledged(taken + 600)
        self.assertIn("another process", self.cloud_tool("restore", "--from", backup, "--replace", code=1))
        self.assertTrue(sim.alive(), "events flow all the while")

        self.assertEqual(stack.processes["sluice-cloud"].stop(), 0)
        generations, applied = self.generations(), self.applied()
        self.assertIn("--replace", self.cloud_tool("restore", "--from", backup, code=1))
        self.assertIn("replaced-", self.cloud_tool("restore", "--from", backup, "--replace"))
        self.assertFalse(set(generations) & set(self.generations()))
        self.assertLess(self.applied(), applied - 500, "the backup lacks what came after it")
        stack.start_cloud()
        self.assertEqual(sim.popen.wait(90), 0, sim.tail())
        self.await_drained()
        verdict = self.assert_exactly_once(stack, self.ledger, at_least=2400)
        self.assertEqual((verdict["declared_lost"], verdict["dead_letters"]), (0, 0), verdict)
        print(verdict, flush=True)

    def test_what_is_older_than_the_replay_window_is_a_named_gap_and_no_wedge(self):
        # Neither a window nor a segment of the journal that reaches back to the backup.
        self.start(outbox={"replay_window_bytes": 0},
                   journal={"segment_bytes": 64 << 10, "min_segments": 2, "max_segments": 2, "max_record_bytes": 8 << 10},
                   intake={"max_event_bytes": 4 << 10})
        stack, backup = self.stack, self.stack.folder / "backup"
        self.talk(400)
        self.cloud_tool("backup", "--to", backup)
        self.talk(1600)
        stack.processes["sluice-cloud"].stop()
        self.cloud_tool("restore", "--from", backup, "--replace")
        stack.start_cloud()
        self.await_drained()
        self.talk(400)
        _, verdict = stack.judge([self.ledger], wait=5)
        print(verdict, flush=True)
        self.assertGreater(verdict["declared_lost"], 0, verdict)
        self.assertEqual((verdict["unexplained"], verdict["duplicates"], verdict["order_breaks"]), (0, 0, 0), verdict)
        self.assertEqual(verdict["missing_effects"], verdict["declared_lost"], verdict)
        reasons = {reason for service in SERVICES for reason, in self.rows(service, "SELECT DISTINCT reason FROM losses")}
        self.assertEqual(reasons, {"beyond_replay_window"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
