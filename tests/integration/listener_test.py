"""Devices that speak MQTT to the gateway itself: a foreign client (mosquitto's) and the real programs."""

import subprocess

from listener_harness import ListenerTest, run, sales, wait_until


class Listener(ListenerTest):
    def publish(self, stack, topic, lines, *options, version="5", timeout=60):
        command = ["mosquitto_pub", "-h", "localhost", "-p", str(stack.listener_port), "-V", version, "-q", "1", "-t", topic, "-l",
                   *options]
        return subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=timeout)

    def effects(self, stack, device):
        return [seq for _, seq in super().effects(stack, device)]

    def test_identity_topics_and_status_over_tls(self):
        stack = self.stack_with_listener()
        password = stack.device_passwords["vm-0002"]
        ca = ["--cafile", str(stack.certificates.ca())]
        vm2 = [*ca, "-u", "vm-0002", "-P", password]
        for version in ("5", "311"):
            done = self.publish(stack, "sluice/v1/vm-0002/sale", sales(50, boot=int(version)), *vm2, version=version)
            self.assertEqual(done.returncode, 0, done.stderr)
        cert, key = stack.certificates.issue("device", uri="spiffe://sluice.demo/device/vm-0003")
        with_certificate = [*ca, "--cert", str(cert), "--key", str(key)]
        done = self.publish(stack, "sluice/v1/vm-0003/sale", sales(50), *with_certificate)
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_until(lambda: len(self.effects(stack, "vm-0003")) == 50, 20, "the sales of vm-0003 are in the cloud")
        wait_until(lambda: len(self.effects(stack, "vm-0002")) == 100, 20, "the sales of vm-0002 are in the cloud")

        for options in (ca, [*ca, "-u", "vm-0002", "-P", "wrong"], [*ca, "-u", "vm-0009", "-P", password]):
            self.assertNotEqual(self.publish(stack, "sluice/v1/vm-0002/sale", sales(1), *options).returncode, 0)
        # A topic of another device is refused, and so told to a v5 client.
        done = self.publish(stack, "sluice/v1/vm-0003/sale", sales(1, boot=9), *vm2)
        self.assertIn("ot authori", done.stderr + done.stdout)
        self.assertEqual(len(self.effects(stack, "vm-0003")), 50)

        self.assertEqual(self.figure(stack, "refused_wrong_password"), 2)
        self.assertEqual(self.figure(stack, "refused_no_credentials"), 1)
        self.assertGreaterEqual(self.figure(stack, "refused_not_authorized"), 1)
        self.assertEqual(self.figure(stack, "withheld"), 0)
        self.assertEqual(self.source(stack)["promise"], "PUBACK means that the event is on flash or in the cloud")
        text = stack.ctl("status").stdout
        for word in ("listener:devices", "PUBACK means that the event is on flash", "refused_wrong_password"):
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
            self.assertNotEqual(self.publish(stack, "sluice/v1/vm-0001/sale", sales(1, boot=2), *login).returncode, 0)
        finally:
            client.kill()
            client.wait()

    def test_what_was_acknowledged_survives_kill_nine(self):
        stack = self.stack_with_listener(tls=False)
        login = ["-u", "vm-0001", "-P", stack.device_passwords["vm-0001"]]
        for boot in range(1, 6):
            # mosquitto_pub ends when each line has its PUBACK.
            done = self.publish(stack, "sluice/v1/vm-0001/sale", sales(500, boot), *login)
            self.assertEqual(done.returncode, 0, done.stderr)
            stack.processes["sluiced"].kill()
            self.start_listener(stack)
        wait_until(lambda: len(self.effects(stack, "vm-0001")) >= 2500, 30, "all sales are in the cloud")
        self.assertEqual(self.effects(stack, "vm-0001"), [i + 1 for _ in range(5) for i in range(500)])


if __name__ == "__main__":
    run()
