"""Whatever comes in is refused with a reason, counted and visible; nothing else is disturbed."""

import json
import os
import subprocess
import unittest

from harness import StackTest, names, wait_until


class BadInput(StackTest):
    def publish(self, stack, device, topic, payload, retain=False):
        password = (stack.folder / "users" / device).read_text()
        command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(stack.broker_port), "-V", "5", "-q", "1", "-u", device,
                   "-P", password, "-t", topic, "-s" if payload else "-n"] + (["-r"] if retain else [])
        done = subprocess.run(command, input=payload, capture_output=True, timeout=20)
        self.assertEqual(done.returncode, 0, done.stderr)

    def rejected(self, stack):
        done = stack.ctl("tail", "--rejected", "--no-follow", "--last", "100", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines() if line]

    def test_each_is_refused_with_a_reason(self):
        device = "vm-0001"
        stack = self.new_stack(devices=names(1))
        stack.start_broker()
        stack.start_cloud()
        stack.serial_ports = ["serial-0001"]
        master, slave = os.openpty()
        (stack.folder / "serial/serial-0001").symlink_to(os.ttyname(slave))
        topic = f"sluice/v1/{device}"
        # What the broker remembers of an event topic when we subscribe is no event.
        self.publish(stack, device, f"{topic}/telemetry", b'{"boot":1,"seq":101,"values":{"t":1}}', retain=True)
        stack.start_gateway()
        wait_until(lambda: all(s["state"] == "connected" for s in stack.status()["sources"]), 20, "sources connect")
        counter = lambda name: {c["name"]: int(c["value"]) for c in stack.status()["counters"]}[name]
        wait_until(lambda: counter("intake_retained") == 1, 10, "the retained message is passed over")
        self.assertEqual((stack.status()["accepted"], stack.status()["rejected"]), (0, 0))
        # topic, payload, reason, whether the head is kept: of known kinds that are not about people
        cases = [
            (f"{topic}/sale", b"{not json", "not valid JSON at byte", True),
            (f"{topic}/sale", b'{"boot":1,"seq":1,"selection":7}', "selection: must be text", True),
            (f"{topic}/sale", b'{"boot":1,"seq":2,"selection":"A1","quantity":-3}', "quantity: must be an integer from 1 to", True),
            (f"{topic}/sale", b'{"boot":1,"seq":3,"selection":"A1","qty":3}', "'qty': unknown member", True),
            (f"{topic}/teleport", b'{"boot":1,"seq":4}', "kind: 'teleport' is unknown", False),
            (f"{topic}/status", b'{"boot":1,"seq":5,"state":"online","text":"\xff\xfe"}', "UTF-8", True),
            (f"{topic}/status", b'{"boot":1,"seq":6,"state":"online","text":"' + b"x" * (1 << 20) + b'"}',
             "body: 1048621 bytes; at most 65536 are allowed", True),
            (f"{topic}/sale", b'{"boot":1,"seq":7,"selection":"A1","gateway":"gw-other"}', "gw-other", True),
            (f"{topic}/sale", b"[" * 10000, "must be a JSON object", True),
            (f"{topic}/sale", b"", "body: empty", True),
            (f"{topic}/sale", b'{"boot":1,"seq":99999999999999999999999,"selection":"A1"}', "seq: must be an integer", True),
            (f"{topic}/%2e%2e", b'{"boot":1,"seq":8}', "kind: '%2e%2e' is unknown", False),
            (f"{topic}/punch", b'{"boot":1,"seq":9,"user":"987654","template":"QUJD987654"}', "'template': unknown member", False),
            (f"{topic}/attendance", b'{"boot":1,"seq":10,"user":"987654"}', "", False),
        ]
        for case_topic, payload, *_ in cases:
            self.publish(stack, device, case_topic, payload)
        lines = [("garbage", False), ("half a line", False), ('{"kind":"sale"', True)]
        os.write(master, b"\x00\xff\xfegarbage\nhalf a li")
        os.write(master, b"ne\n{\"kind\":\"sale\"\n")
        expected = len(cases) + len(lines)
        wait_until(lambda: stack.status()["rejected"] >= expected, 10, "all refused")
        rows = self.rejected(stack)
        self.assertEqual(len(rows), expected, rows)
        rows_of = lambda source: [row for row in rows if row["source"].startswith(source)]
        for (case_topic, payload, reason, kept), row in zip(cases, rows_of("mqtt:"), strict=True):
            self.assertEqual((row["where"], row["device_id"]), (case_topic, device))
            self.assertIn(reason, row["reason"])
            self.assertEqual(row["head"] == "(may name a person: not kept)", not kept, row)
            self.assertLessEqual(len(row["head"]), 2048)
            if "gw-other" not in reason:   # that one was decoded: its size is the event's
                self.assertEqual(row["size"], len(payload), row)
        for (text, kept), row in zip(lines, rows_of("serial:"), strict=True):
            self.assertTrue(row["reason"], row)
            self.assertEqual(row["head"] == "(may name a person: not kept)", not kept, row)
            if kept:
                self.assertIn(text, row["head"])
        self.assertNotIn("987654", json.dumps(rows))
        # Nothing else is disturbed: a good event goes all the way.
        self.publish(stack, device, f"{topic}/sale", b'{"boot":1,"seq":100,"selection":"A1","product":"cola","price":150,"currency":"EUR"}')
        os.write(master, b'{"kind":"status","boot":1,"seq":1,"state":"online"}\n')
        wait_until(lambda: self.queue(stack, "inventory")["acknowledged"] == 1 and
                   self.queue(stack, "shop-bulk")["acknowledged"] >= 1, 20, "good events arrive")
        os.close(master)
        os.close(slave)

    def test_configuration_errors_name_file_line_and_key(self):
        stack = self.new_stack()
        config = stack.folder / "bad.toml"
        config.write_text('[gateway]\nstate_dir = 5\n\n[cloud]\nshop = "nohost"\ncolour = "red"\n')
        done = subprocess.run([stack.binaries / "sluiced", "--config", config, "--check"], capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        for word in (str(config), ":2", "state_dir", "shop", "colour"):
            self.assertIn(word, done.stderr + done.stdout)

    def test_a_check_reads_the_files_that_the_configuration_names(self):
        stack = self.new_stack()
        config = stack.write_gateway_config(addresses=dict.fromkeys(("shop", "inventory", "attendance"), "127.0.0.1:1"))
        check = lambda: subprocess.run([stack.binaries / "sluiced", "--config", config, "--check"], capture_output=True, text=True)
        done = check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        certificate, _ = stack.certificates.gateway()
        good = certificate.read_text()
        certificate.write_text("junk\n")
        done = check()
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"identity: certificate {certificate}: holds no PEM certificate", done.stderr)
        certificate.write_text(good)


class ForeignIdentity(StackTest):
    def test_a_gateway_of_another_ca_gets_nowhere_and_collects_on(self):
        stack = self.new_stack(devices=names(1))
        stack.start_broker()
        stack.start_cloud()
        own = stack.certificates
        from demo import Certificates
        foreign = Certificates(stack.folder / "foreign-pki")
        cert, key = foreign.gateway()
        config = stack.write_gateway_config()
        good_cert, good_key = own.gateway()
        text = config.read_text()
        bad = stack.folder / "gateway/foreign.toml"
        bad.write_text(text.replace(str(good_cert), str(cert)).replace(str(good_key), str(key)))
        stack.start_gateway(config=bad)
        ledger = stack.folder / "sim/ledger.tsv"
        sim = stack.start_sim(vending=1, broker=f"mqtt://127.0.0.1:{stack.broker_port}", users_dir=stack.folder / "users",
                              ledger=ledger, state=stack.folder / "sim", events=50, rate=200, wait_receipts=30)
        self.assertEqual(sim.popen.wait(60), 0, sim.tail())
        wait_until(lambda: all(q["link"] == "refused" for q in stack.status()["queues"]), 30, "every link is refused")
        wait_until(lambda: stack.status()["warnings"], 10, "a warning")
        status = stack.status()
        self.assertGreaterEqual(status["accepted"], 50)
        for queue in status["queues"]:
            self.assertEqual(queue["acknowledged"], 0)
            self.assertIn("the cloud does not accept our certificate (", queue["detail"])
            self.assertGreater(queue["next_try_ms"], 60_000, queue)
        warning = next(w for w in status["warnings"] if w["code"] == "certificate_refused")
        for text in (*stack.cloud_addresses.values(), "by our own trust file: unable to get local issuer certificate",
                     "Let the gateway's certificate be issued anew"):
            self.assertIn(text, warning["text"])
        self.assertEqual({c["name"]: c["value"] for c in status["counters"]}["warning_certificate_refused"], 1)
        self.assertEqual(stack.ctl("status").returncode, 1)
        # The same store under the right certificate: nothing was lost.
        stack.processes["sluiced"].stop()
        stack.start_gateway(config=config)
        self.assert_exactly_once(stack, ledger, at_least=50)


if __name__ == "__main__":
    unittest.main(verbosity=2)
