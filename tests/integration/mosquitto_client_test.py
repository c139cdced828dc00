"""mosquitto_pub and mosquitto_sub against the gateway's own MQTT server."""

import json
import shutil
import subprocess

from listener_harness import Lines, ListenerTest, numbers, run, sale, sales, skip, wait_until

VERSIONS = ("311", "5")


class MosquittoClients(ListenerTest):
    def login(self, stack, device="vm-0001"):
        return ["-u", device, "-P", stack.device_passwords[device]]

    def where(self, stack):
        return ["-h", "127.0.0.1", "-p", str(stack.listener_port)]

    def pub(self, stack, *options, lines=None, version="5", login=None):
        command = ["mosquitto_pub", *self.where(stack), "-V", version, *(self.login(stack) if login is None else login), *options]
        if lines is not None:
            command.append("-l")
        return subprocess.run(command, input=None if lines is None else "\n".join(lines) + "\n", capture_output=True, text=True,
                              timeout=60)

    def must_pub(self, stack, *options, **kwargs):
        done = self.pub(stack, *options, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def sub(self, stack, *options, version="5", login=None):
        """A subscriber that says what it is doing, line by line."""
        return Lines(["stdbuf", "-oL", "mosquitto_sub", *self.where(stack), "-V", version, "-d",
                      *(self.login(stack) if login is None else login), *options])

    def test_every_version_and_qos(self):
        stack = self.stack_with_listener(tls=False)
        expected, boot = [], 0
        for version in VERSIONS:
            for qos in ("0", "1", "2"):
                boot += 1
                self.must_pub(stack, "-t", "sluice/v1/vm-0001/sale", "-q", qos, lines=sales(100, boot), version=version)
                expected += numbers(100, boot)
        self.assert_arrived(stack, "vm-0001", expected)
        self.assertEqual(self.figure(stack, "at_qos0"), 200)
        self.assertEqual(self.figure(stack, "acknowledged"), 400)
        # 3.1 is not offered, and says so in its own way.
        done = self.pub(stack, "-t", "sluice/v1/vm-0001/sale", "-q", "1", lines=sales(1, 9), version="mqttv31")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("unacceptable protocol version", (done.stdout + done.stderr).lower())

    def test_a_will_is_an_event_when_the_client_is_lost_and_none_when_it_leaves(self):
        stack = self.stack_with_listener(tls=False)
        for count, version in enumerate(VERSIONS):
            will = ["--will-topic", "sluice/v1/vm-0001/status", "--will-qos", "1", "--will-retain", "--will-payload"]
            topic = ["-t", "sluice/v1/vm-0001/ack", "-q", "1"]
            with self.sub(stack, *topic, *will, '{"boot":1,"seq":%d,"state":"offline"}' % (2 * count + 1), version=version) as lost:
                lost.wait_for("received SUBACK", "it subscribed")
                lost.popen.kill()
            self.wait_figure(stack, "connections", 0)
            # One message and no second: mosquitto_sub that finds another to read while it leaves closes without DISCONNECT.
            with self.sub(stack, "-t", "tele/vm-0001/bye", *will, '{"boot":1,"seq":%d,"state":"offline"}' % (2 * count + 2),
                          "-C", "1", version=version) as left:
                left.wait_for("received SUBACK", "it subscribed")
                self.must_pub(stack, "-t", "tele/vm-0001/bye", "-q", "1", "-m", "now", version=version)
                self.assertEqual(left.finish()[0], 0)
            self.wait_figure(stack, "connections", 0)
        self.assert_arrived(stack, "vm-0001", [(1, 1), (1, 3)], service="shop")

    def test_a_megabyte_is_refused_and_no_connection_lost_to_it(self):
        stack = self.stack_with_listener(tls=False)
        large = stack.folder / "large"
        large.write_bytes(b'{"boot":1,"seq":1,"selection":"' + b"A" * (1 << 20) + b'"}')
        # 3.1.1 tells nobody how much may be sent; mosquitto_pub would send it again and again.
        self.must_pub(stack, "-t", "sluice/v1/vm-0001/sale", "-q", "1", "-f", str(large), version="311")
        wait_until(lambda: self.source(stack)["rejected"] == 1, 20, "it is counted")
        rows = [json.loads(line) for line in stack.ctl("--json", "tail", "--rejected", "--no-follow").stdout.splitlines()]
        self.assertEqual([row["reason"] for row in rows if "a packet of 1048" in row["reason"]], [rows[0]["reason"]])
        self.assertEqual(rows[0]["device_id"], "vm-0001")
        self.must_pub(stack, "-t", "sluice/v1/vm-0001/sale", "-q", "1", "-m", sale(2), version="311")
        self.assert_arrived(stack, "vm-0001", [(1, 2)])

    def test_retained_topics_are_kept_for_the_device_and_are_no_events(self):
        stack = self.stack_with_listener(tls=False)
        for version in VERSIONS:
            state = '{"version":"%s"}' % version
            self.must_pub(stack, "-t", "tele/vm-0001/STATE", "-r", "-q", "1", "-m", state, version=version)
            with self.sub(stack, "-t", "tele/vm-0001/#", "-q", "1", "-F", "%r %t %p", "-C", "1", version=version) as own:
                own.wait_for(f"1 tele/vm-0001/STATE {state}", "the retained message")
                self.assertEqual(own.finish()[0], 0)
        # Deleted by an empty one; a later subscriber gets what comes next.
        self.must_pub(stack, "-t", "tele/vm-0001/STATE", "-r", "-q", "1", "-n")
        self.wait_figure(stack, "retained", 0)
        with self.sub(stack, "-t", "tele/vm-0001/#", "-F", "%r %t %p", "-C", "1") as own:
            own.wait_for("received SUBACK", "it subscribed")
            self.must_pub(stack, "-t", "tele/vm-0001/STATE", "-m", "now")
            own.wait_for("0 tele/vm-0001/STATE now", "what came next")
            self.assertEqual(own.finish()[0], 0)
        # An event with a retain flag is an event.
        self.must_pub(stack, "-t", "sluice/v1/vm-0001/sale", "-r", "-q", "1", "-m", sale(1))
        self.assert_arrived(stack, "vm-0001", numbers(1))
        self.assertEqual(self.figure(stack, "other_topics"), 4)
        self.assertEqual(self.source(stack)["rejected"], 0)

    def test_a_persistent_session_gets_the_receipts_it_missed(self):
        stack = self.stack_with_listener(tls=False)
        for boot, version in enumerate(VERSIONS, 1):
            options = ["-i", f"display-{version}", "-c", "-t", "sluice/v1/vm-0001/ack", "-q", "1", "-F", "receipt %p"]
            if version == "5":
                options += ["-x", "3600"]
            with self.sub(stack, *options, "-E", version=version) as once:   # -E: ends when it is subscribed
                self.assertEqual(once.finish()[0], 0)
            self.must_pub(stack, "-t", "sluice/v1/vm-0001/sale", "-q", "1", lines=sales(20, boot), version=version)
            self.assert_arrived(stack, "vm-0001", [n for b in range(1, boot + 1) for n in numbers(20, b)])
            with self.sub(stack, *options, version=version) as again:
                again.wait_for(lambda line: line.startswith("receipt ") and '"boot":%d' % boot in line and "[[1,20]]" in line,
                               "the receipt that covers all")
        self.assertEqual(self.figure(stack, "resumed"), 2)

    def test_a_publisher_with_a_session_that_is_killed_and_comes_back(self):
        stack = self.stack_with_listener(tls=False)
        for boot, version in enumerate(VERSIONS, 1):
            session = ["-i", f"till-{version}", "-c", *(["-x", "3600"] if version == "5" else [])]
            arguments = ["mosquitto_pub", *self.where(stack), "-V", version, *self.login(stack), *session, "-q", "2", "-t",
                         "sluice/v1/vm-0001/sale", "-l"]
            client = subprocess.Popen(arguments, stdin=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL)
            try:
                client.stdin.write("\n".join(sales(50, boot)) + "\n")
                client.stdin.flush()
                wait_until(lambda: (boot, 1) in self.effects(stack, "vm-0001"), 20, "the first one arrived")
            finally:
                client.kill()
                client.wait()
                client.stdin.close()
            # The client's memory is gone: it begins again, with packet ids that the session has seen.
            self.must_pub(stack, *session, "-q", "2", "-t", "sluice/v1/vm-0001/sale", lines=sales(50, boot), version=version)
        self.assert_arrived(stack, "vm-0001", numbers(50, 1) + numbers(50, 2))

    def test_who_may_come_in_over_tls(self):
        stack = self.stack_with_listener()
        ca = ["--cafile", str(stack.certificates.ca())]
        uri = "spiffe://sluice.demo/device/vm-0003"
        cert, key = stack.certificates.issue("device", uri=uri)
        certificate = [*ca, "--cert", str(cert), "--key", str(key)]
        topic = ["-t", "sluice/v1/vm-0003/sale"]
        for boot, version in enumerate(VERSIONS, 1):
            self.must_pub(stack, *topic, "-q", "2", lines=sales(20, boot), version=version, login=certificate)
            self.must_pub(stack, "-t", "sluice/v1/vm-0002/sale", "-q", "1", lines=sales(20, boot), version=version,
                          login=[*ca, *self.login(stack, "vm-0002")])
            done = self.pub(stack, *topic, "-q", "1", "-m", sale(1, 9), version=version,
                            login=[*ca, "-u", "vm-0003", "-P", "wrong"])
            self.assertNotEqual(done.returncode, 0)
            self.assertRegex(done.stdout + done.stderr, "(?i)not authori[sz]ed|bad user name or password")
        # The certificate's device is who it is: another name beside it is refused.
        stranger = [*certificate, *self.login(stack, "vm-0002")]
        done = self.pub(stack, "-t", "sluice/v1/vm-0002/sale", "-q", "1", "-m", sale(1, 9), login=stranger)
        told = done.returncode != 0 or "ot authori" in done.stdout + done.stderr
        self.assertTrue(told, done.stdout + done.stderr)
        both = [n for boot in (1, 2) for n in numbers(20, boot)]
        self.assert_arrived(stack, "vm-0003", both)
        self.assert_arrived(stack, "vm-0002", both)
        self.assertEqual(self.figure(stack, "refused_wrong_password"), 2)

    def test_another_devices_topics_are_neither_written_nor_read(self):
        stack = self.stack_with_listener(tls=False)
        for boot, version in enumerate(VERSIONS, 1):
            done = self.pub(stack, "-t", "sluice/v1/vm-0002/sale", "-q", "1", "-m", sale(1, boot), version=version)
            if version == "5":
                self.assertIn("ot authori", done.stdout + done.stderr)
            for filter in ("sluice/v1/vm-0002/ack", "sluice/v1/+/ack", "#", "$share/all/sluice/v1/vm-0001/ack"):
                with self.sub(stack, "-t", filter, "-q", "1", version=version) as denied:
                    denied.wait_for("denied", f"{filter} is refused")
                    denied.finish()
        self.assert_nothing_under_way(stack)
        self.assertEqual(self.effects(stack, "vm-0002"), [])
        self.assertEqual(self.figure(stack, "refused_not_authorized"), 2)
        self.assertEqual(self.source(stack)["rejected"], 2)

    def test_properties(self):
        stack = self.stack_with_listener(tls=False)
        connect = ["-D", "connect", "session-expiry-interval", "60", "-D", "connect", "receive-maximum", "3",
                   "-D", "connect", "maximum-packet-size", "2000", "-D", "connect", "user-property", "model", "vm"]
        publish = ["-D", "publish", "content-type", "application/json", "-D", "publish", "message-expiry-interval", "60",
                   "-D", "publish", "payload-format-indicator", "1", "-D", "publish", "user-property", "shift", "early",
                   "-D", "publish", "response-topic", "sluice/v1/vm-0001/answer", "-D", "publish", "correlation-data", "7"]
        self.must_pub(stack, "-q", "1", "-t", "sluice/v1/vm-0001/sale", *connect, *publish, lines=sales(50))
        self.must_pub(stack, "-q", "2", "-t", "sluice/v1/vm-0001/sale", "-D", "publish", "topic-alias", "1", *publish,
                      lines=sales(50, boot=2))
        # What a device tells itself keeps them.
        with self.sub(stack, "-t", "tele/vm-0001/#", "-q", "1", "-C", "1", "-F", "%C %R %D %P %p", "-D", "subscribe",
                      "subscription-identifier", "4") as own:
            own.wait_for("received SUBACK", "it subscribed")
            self.must_pub(stack, "-q", "1", "-t", "tele/vm-0001/SENSOR", *publish, "-m", "{}")
            own.wait_for("application/json sluice/v1/vm-0001/answer 7 shift:early {}", "the message with its properties")
            self.assertEqual(own.finish()[0], 0)
        self.assert_arrived(stack, "vm-0001", numbers(50) + numbers(50, 2))


if __name__ == "__main__":
    if not shutil.which("mosquitto_pub") or not shutil.which("mosquitto_sub"):
        skip("mosquitto_pub and mosquitto_sub are not installed (Debian: mosquitto-clients)")
    run()
