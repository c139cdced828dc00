"""A record that the cloud cannot accept: its queue goes on, the gateway knows of it, and an operator sees it applied in the end."""

import base64
import json
import sqlite3
import unittest

from harness import StackTest, names, wait_until


class DeadLetters(StackTest):
    def ctl(self, *arguments, code=0):
        done = self.stack.ctl(*arguments, "--json")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def cloud(self, *arguments, code=0):
        return self.ctl("cloud", "--run-json", str(self.stack.write_run_json()), "dead-letters", *arguments, code=code)

    def inventory(self, statement):
        with sqlite3.connect(f"{self.stack.folder}/cloud/inventory.db") as db:
            return db.execute(statement).fetchall()

    def test_a_fault_of_the_cloud_buries_and_an_operator_brings_back(self):
        stack = self.stack = self.new_stack(listener_devices=names(1))
        stack.start_cloud()
        stack.start_gateway()
        # A fault that a few records meet: its transaction breaks, whatever is tried.
        self.inventory("CREATE TRIGGER fault BEFORE INSERT ON stock_movements WHEN NEW.seq % 25 = 7 "
                       "BEGIN SELECT RAISE(ABORT, 'a fault of ours'); END")
        ledger = stack.folder / "sim/ledger.tsv"
        sim = stack.start_sim(vending=1, listener=stack.listener_url(), ca=stack.certificates.ca(),
                              credentials=stack.folder / "users", ledger=ledger, state=stack.folder / "sim", rate=300,
                              events=200, wait_receipts=30)
        self.assertEqual(sim.popen.wait(60), 0, sim.tail())
        wait_until(lambda: all(q["pending"] == 0 for q in stack.status()["queues"]), 30, "nothing waits", interval=0.1)

        letters = self.cloud("list")["dead_letters"]
        self.assertTrue(letters)
        told = {letter["id"]: letter for letter in self.ctl("dead-letters", "list")["dead_letters"]}
        self.assertEqual(set(told), {letter["id"] for letter in letters})
        for letter in letters:
            self.assertIn("a fault of ours", letter["reason"])
            self.assertEqual(told[letter["id"]]["event_id"], letter["event_id"])
            self.assertEqual(told[letter["id"]]["reason"], letter["reason"][:200])
        first = letters[0]["id"]
        shown = self.cloud("show", first)
        self.assertEqual(shown["event"]["device_id"], "vm-0001")
        self.assertEqual(len(base64.b64decode(shown["record_base64"])), letters[0]["size"])

        self.assertEqual(self.cloud("requeue", first, code=1)["outcome"], "refused")
        self.inventory("DROP TRIGGER fault")
        for letter in letters:
            self.assertEqual(self.cloud("requeue", letter["id"])["outcome"], "applied")
            self.assertEqual(stack.ctl("cloud", "--run-json", str(stack.folder / "run.json"), "dead-letters", "show",
                                       letter["id"]).returncode, 1)
        self.assertEqual(self.cloud("list")["dead_letters"], [])
        audit = self.inventory("SELECT what, detail FROM audit WHERE what LIKE 'dead_letter_%'")
        self.assertEqual([what for what, _ in audit], ["dead_letter_refused"] + ["dead_letter_requeued"] * len(letters))
        self.assertTrue(all(detail.startswith("operator/demo: ") for _, detail in audit), audit)

        # All there, none twice; what was requeued came late, and nothing else did.
        _, verdict = stack.judge([ledger], wait=30)
        self.assertEqual((verdict["missing"], verdict["duplicates"]), (0, 0), verdict)
        self.assertEqual(verdict["applied"], verdict["accepted"], verdict)
        self.assertEqual(verdict["order_breaks_store"], len(letters), verdict)
        print(verdict, flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
