"""Eclipse Paho's Python client (Debian: python3-paho-mqtt) against the gateway's own MQTT server."""

import json

from listener_harness import ListenerTest, numbers, run, sale, sales
from paho_device import LEVELS, Device, need_paho


class PahoPython(ListenerTest):
    def device(self, stack, device="vm-0001", **kwargs):
        made = Device(stack.listener_port, device, stack.device_passwords.get(device, "wrong"), **kwargs)
        self.addCleanup(made.client.loop_stop)
        return made

    def test_every_version_and_qos(self):
        stack = self.stack_with_listener(tls=False)
        expected, boot = [], 0
        for level in LEVELS:
            for qos in (0, 1, 2):
                boot += 1
                device = self.device(stack, level=level)
                self.assertEqual(device.connect(), (0, 0))
                for info in device.publish("sluice/v1/vm-0001/sale", sales(200, boot), qos):
                    info.wait_for_publish(30)
                    self.assertTrue(info.is_published())
                device.leave()
                expected += numbers(200, boot)
        self.assert_arrived(stack, "vm-0001", expected)
        self.assertEqual(self.figure(stack, "at_qos0"), 400)

    def test_who_is_not_let_in_is_told(self):
        stack = self.stack_with_listener(tls=False)
        for level, code in (("311", 5), ("5", 0x87)):
            stranger = self.device(stack, device="vm-0009", level=level)
            told, _ = stranger.connect()
            stranger.leave()
            # 3.1.1 has two words for it.
            self.assertIn(told, (code, 4) if level == "311" else (code, 0x86))
        self.assertEqual(self.source(stack)["events"], 0)

    def test_a_will_is_an_event_once(self):
        stack = self.stack_with_listener(tls=False)
        for boot, level in enumerate(LEVELS, 1):
            will = ("sluice/v1/vm-0001/status", '{"boot":%d,"seq":1,"state":"offline"}' % boot, 2, True)
            lost = self.device(stack, level=level, will=will)
            lost.connect()
            lost.vanish()
            left = self.device(stack, level=level, will=(will[0], '{"boot":%d,"seq":2,"state":"offline"}' % boot, 1, False))
            left.connect()
            left.leave()
            self.wait_figure(stack, "connections", 0)
        self.assert_arrived(stack, "vm-0001", [(1, 1), (2, 1)], service="shop")

    def test_a_client_with_a_session_whose_network_goes_again_and_again(self):
        stack = self.stack_with_listener(tls=False)
        expected = []
        for boot, (level, qos) in enumerate([(l, q) for l in LEVELS for q in (1, 2)], 1):
            device = self.device(stack, level=level, client_id=f"till-{boot}", clean=False, expiry_s=3600)
            device.connect()
            infos = []
            for piece in range(4):
                infos += device.publish("sluice/v1/vm-0001/sale", sales(100, boot, 1 + 100 * piece), qos)
                connects = len(device.connacks)
                device.lose()
                device.wait(lambda: len(device.connacks) > connects, "it came back")
                self.assertEqual(device.connacks[-1], (0, 1), "its session was there")
            for info in infos:
                info.wait_for_publish(30)
                self.assertTrue(info.is_published())
            device.leave()
            expected += numbers(400, boot)
        self.assert_arrived(stack, "vm-0001", expected, in_order=False)

    def test_a_gateway_that_dies_under_a_client(self):
        stack = self.stack_with_listener(tls=False)
        for boot, level in enumerate(LEVELS, 1):
            device = self.device(stack, level=level, client_id=f"till-{boot}", clean=False, expiry_s=3600)
            device.connect()
            device.subscribe("sluice/v1/vm-0001/ack", 1)
            infos = device.publish("sluice/v1/vm-0001/sale", sales(300, boot), 1)
            stack.processes["sluiced"].kill()
            infos += device.publish("sluice/v1/vm-0001/sale", sales(300, boot, 301), 1)
            self.start_listener(stack)
            device.wait(lambda: len(device.connacks) > 1, "it came back")
            self.assertEqual(device.connacks[-1], (0, 0), "sessions are in memory")
            for info in infos:
                info.wait_for_publish(30)
                self.assertTrue(info.is_published())
            device.leave()
        self.assert_arrived(stack, "vm-0001", [n for boot in (1, 2) for n in numbers(600, boot)], in_order=False)

    def test_two_clients_with_the_same_id(self):
        stack = self.stack_with_listener(tls=False)
        for boot, level in enumerate(LEVELS, 1):
            first = self.device(stack, level=level, client_id=f"till-{level}", clean=False, expiry_s=60)
            first.connect()
            for info in first.publish("sluice/v1/vm-0001/sale", sales(50, boot), 1):
                info.wait_for_publish(30)
            first.client._thread_terminate = True   # otherwise it takes over in turn, for ever
            second = self.device(stack, level=level, client_id=f"till-{level}", clean=False, expiry_s=60)
            self.assertEqual(second.connect(), (0, 1))
            first.wait(lambda: first.losses, "the first is put out")
            if level == "5":
                self.assertEqual(first.losses[0], 0x8E)   # session taken over
            for info in second.publish("sluice/v1/vm-0001/sale", sales(50, boot, 51), 1):
                info.wait_for_publish(30)
            second.leave()
            # The same id of another device is another session.
            third = self.device(stack, device="vm-0002", level=level, client_id=f"till-{level}", clean=False, expiry_s=60)
            self.assertEqual(third.connect(), (0, 0))
            third.leave()
            self.wait_figure(stack, "connections", 0)
        self.assertEqual(self.figure(stack, "taken_over"), 2)
        self.assert_arrived(stack, "vm-0001", [n for boot in (1, 2) for n in numbers(100, boot)])

    def test_receipts_name_what_is_safe_and_what_is_refused(self):
        stack = self.stack_with_listener(tls=False)
        for boot, level in enumerate(LEVELS, 1):
            device = self.device(stack, level=level)
            device.connect()
            self.assertEqual(device.subscribe("sluice/v1/vm-0001/ack", 2), [1])   # no QoS 2 towards devices
            device.publish("sluice/v1/vm-0001/sale", sales(30, boot), 1)
            device.publish("sluice/v1/vm-0001/sale", [json.dumps({"boot": boot, "seq": 31, "product": 7})], 1)
            device.publish("sluice/v1/vm-0001/sale", [sale(32, boot)], 2)
            def said(check):
                return any(check(json.loads(body)) for topic, body, *_ in device.messages if topic == "sluice/v1/vm-0001/ack")
            device.wait(lambda: said(lambda r: any(r["boot"] == boot and low == 1 and high >= 30 for low, high in r["ranges"])),
                        "the receipt for 1 to 30")
            device.wait(lambda: said(lambda r: any(x["seq"] == 31 for x in r.get("refused", []))), "the refusal of 31")
            device.wait(lambda: said(lambda r: any(low <= 32 <= high for low, high in r["ranges"])), "the receipt for 32")
            device.wait(lambda: len(device.acknowledged) == 32, "each publish is acknowledged")
            self.assertTrue(all(qos == 1 and retain == 0 for _, _, qos, retain in device.messages))
            device.leave()
        self.assert_arrived(stack, "vm-0001", [n for boot in (1, 2) for n in numbers(30, boot) + [(boot, 32)]])
        self.assertEqual(self.source(stack)["rejected"], 2)

    def test_keep_alive(self):
        stack = self.stack_with_listener(tls=False)
        for boot, level in enumerate(LEVELS, 1):
            device = self.device(stack, level=level, keepalive=1,
                                 will=("sluice/v1/vm-0001/status", '{"boot":%d,"seq":1,"state":"offline"}' % boot, 1, False))
            device.connect()
            # Its pings are answered for longer than the keep alive allows silence.
            self.assertFalse(device.disconnected_within(3))
            # No more pings: the client's thread ends, the socket stays open.
            device.client._thread_terminate = True
            device.client.loop_stop()
            self.wait_figure(stack, "closed_keep_alive", boot)
        self.assert_arrived(stack, "vm-0001", [(1, 1), (2, 1)], service="shop")


if __name__ == "__main__":
    need_paho()
    run()
