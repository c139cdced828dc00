"""Devices that speak MQTT to the gateway itself: a foreign client (mosquitto's) and the real programs."""

import json
import sqlite3
import subprocess
import unittest

from harness import StackTest, wait_until
from demo import free_port  # noqa: E402 (harness sets the path)


class Listener(StackTest):
    def stack_with_listener(self, tls=True):
        stack = self.new_stack()
        stack.start_cloud()
        stack.listener_port = free_port()
        folder = stack.folder / "listener"
        folder.mkdir()
        stack.passwords = folder / "passwd"
        cert, key = stack.certificates.issue("listener", dns=["localhost"])
        keys = (f'certificate_file = "{cert}"\nkey_file = "{key}"\nclient_ca_file = "{stack.certificates.ca()}"\n' if tls else "")
        config = stack.write_gateway_config()
        text = config.read_text()
        text = text[:text.index("[[mqtt]]")] + (
            f'[[listener]]\nname = "shop"\nbind = "127.0.0.1:{stack.listener_port}"\npassword_file = "{stack.passwords}"\n'
            f'{keys}topics = ["tele/{{device}}/#"]\n')
        config.write_text(text)
        stack.device_passwords = {device: json.loads(self.listener_ctl(stack, "add-device", device).stdout)["password"]
                                  for device in ("vm-0001", "vm-0002")}
        check = subprocess.run([stack.binaries / "sluiced", "--config", config, "--check"], capture_output=True, text=True)
        self.assertEqual(check.returncode, 0, check.stderr)
        stack.start_gateway(config=config)
        wait_until(lambda: self.source(stack)["state"] == "listening", 20, "the listener listens")
        return stack

    def listener_ctl(self, stack, *arguments):
        return subprocess.run([stack.binaries / "sluicectl", "listener", "--password-file", stack.passwords, "--json", *arguments],
                              capture_output=True, text=True, timeout=20)

    def source(self, stack):
        return next(s for s in stack.status()["sources"] if s["name"] == "listener:shop")

    def figure(self, stack, name):
        return next(f["value"] for f in self.source(stack)["figures"] if f["name"] == name)

    def publish(self, stack, topic, lines, *options, version="5", timeout=60):
        command = ["mosquitto_pub", "-h", "localhost", "-p", str(stack.listener_port), "-V", version, "-q", "1", "-t", topic, "-l",
                   *options]
        return subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=timeout)

    def effects(self, stack, device):
        with sqlite3.connect(f"file:{stack.folder}/cloud/inventory.db?mode=ro", uri=True) as db:
            return [seq for (seq,) in db.execute("SELECT seq FROM effects WHERE device_id = ? ORDER BY position", (device,))]

    def sales(self, count, boot=1):
        return [json.dumps({"boot": boot, "seq": i + 1, "selection": "A1", "price": 150, "currency": "EUR"}) for i in range(count)]

    def test_identity_topics_and_status_over_tls(self):
        stack = self.stack_with_listener()
        password = stack.device_passwords["vm-0002"]
        ca = ["--cafile", str(stack.certificates.ca())]
        vm2 = [*ca, "-u", "vm-0002", "-P", password]
        for version in ("5", "311"):
            done = self.publish(stack, "sluice/v1/vm-0002/sale", self.sales(50, boot=int(version)), *vm2, version=version)
            self.assertEqual(done.returncode, 0, done.stderr)
        cert, key = stack.certificates.issue("device", uri="spiffe://sluice.demo/device/vm-0003")
        with_certificate = [*ca, "--cert", str(cert), "--key", str(key)]
        done = self.publish(stack, "sluice/v1/vm-0003/sale", self.sales(50), *with_certificate)
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_until(lambda: len(self.effects(stack, "vm-0003")) == 50, 20, "the sales of vm-0003 are in the cloud")
        wait_until(lambda: len(self.effects(stack, "vm-0002")) == 100, 20, "the sales of vm-0002 are in the cloud")

        for options in (ca, [*ca, "-u", "vm-0002", "-P", "wrong"], [*ca, "-u", "vm-0009", "-P", password]):
            self.assertNotEqual(self.publish(stack, "sluice/v1/vm-0002/sale", self.sales(1), *options).returncode, 0)
        # A topic of another device is refused, and so told to a v5 client.
        done = self.publish(stack, "sluice/v1/vm-0003/sale", self.sales(1, boot=9), *vm2)
        self.assertIn("ot authori", done.stderr + done.stdout)
        self.assertEqual(len(self.effects(stack, "vm-0003")), 50)

        self.assertEqual(self.figure(stack, "refused_wrong_password"), 2)
        self.assertEqual(self.figure(stack, "refused_no_credentials"), 1)
        self.assertGreaterEqual(self.figure(stack, "refused_not_authorized"), 1)
        self.assertEqual(self.figure(stack, "withheld"), 0)
        self.assertEqual(self.source(stack)["promise"], "PUBACK means that the event is on flash or in the cloud")
        text = stack.ctl("status").stdout
        for word in ("listener:shop", "PUBACK means that the event is on flash", "refused_wrong_password"):
            self.assertIn(word, text)

    def test_a_removed_device_is_put_out(self):
        stack = self.stack_with_listener(tls=False)
        login = ["-u", "vm-0001", "-P", stack.device_passwords["vm-0001"]]
        client = subprocess.Popen(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(stack.listener_port), "-V", "5", *login, "-t",
                                   "sluice/v1/vm-0001/ack"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: self.figure(stack, "connections") == 1, 10, "it is connected")
            self.assertEqual(self.listener_ctl(stack, "remove-device", "vm-0001").returncode, 0)
            wait_until(lambda: self.figure(stack, "connections") == 0, 10, "it is put out")
            self.assertNotEqual(self.publish(stack, "sluice/v1/vm-0001/sale", self.sales(1, boot=2), *login).returncode, 0)
        finally:
            client.kill()
            client.wait()

    def test_what_was_acknowledged_survives_kill_nine(self):
        stack = self.stack_with_listener(tls=False)
        login = ["-u", "vm-0001", "-P", stack.device_passwords["vm-0001"]]
        for boot in range(1, 6):
            # mosquitto_pub ends when each line has its PUBACK.
            done = self.publish(stack, "sluice/v1/vm-0001/sale", self.sales(500, boot), *login)
            self.assertEqual(done.returncode, 0, done.stderr)
            stack.processes["sluiced"].kill()
            stack.start_gateway(config=stack.gateway_config)
            wait_until(lambda: self.source(stack)["state"] == "listening", 20, "the listener listens")
        wait_until(lambda: len(self.effects(stack, "vm-0001")) >= 2500, 30, "all sales are in the cloud")
        self.assertEqual(self.effects(stack, "vm-0001"), [i + 1 for _ in range(5) for i in range(500)])


if __name__ == "__main__":
    unittest.main(verbosity=2)
