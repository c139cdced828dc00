"""MQTT.js (npm: mqtt) against the gateway's own MQTT server."""

import shutil

from listener_harness import ListenerTest, numbers, run, sales
import npm_packages

LEVELS = (4, 5)
packages = None


class Device(npm_packages.Program):
    """mqttjs/device.js, told what to do and asked what happened."""

    def __init__(self, url, options):
        super().__init__("device.js", packages)
        self.options = options
        self.url = url

    def connect(self):
        self.do("connect", url=self.url, options=self.options)
        return self.wait("connect")

    def publish(self, topic, bodies, qos, **options):
        self.do("publish", tag=0, topic=topic, bodies=bodies, options={"qos": qos, **options})

    def published(self):
        return self.wait("published")

    def subscribe(self, filter, **options):
        self.do("subscribe", filter=filter, options={"qos": 1, **options})
        return self.wait("subscribed")

    def leave(self):
        self.do("end")
        self.lines.finish(30)
        self.close()


class MqttJs(ListenerTest):
    def device(self, stack, level=5, **options):
        url = f"mqtt://127.0.0.1:{stack.listener_port}"
        device = Device(url, {"protocolVersion": level, "username": "vm-0001", "password": stack.device_passwords["vm-0001"],
                              "reconnectPeriod": 100, **options})
        self.addCleanup(device.close)
        return device

    def session(self, name, level):
        return {"clientId": name, "clean": False, **({"properties": {"sessionExpiryInterval": 3600}} if level == 5 else {})}

    def test_every_version_and_qos(self):
        stack = self.stack_with_listener(tls=False)
        expected, boot = [], 0
        for level in LEVELS:
            for qos in (0, 1, 2):
                boot += 1
                device = self.device(stack, level)
                self.assertFalse(device.connect()["present"])
                device.publish("sluice/v1/vm-0001/sale", sales(200, boot), qos)
                told = device.published()
                self.assertEqual((told["acknowledged"], told["failed"], told["again"]), (200, [], 0))
                device.leave()
                expected += numbers(200, boot)
        self.assert_arrived(stack, "vm-0001", expected)
        self.assertEqual(self.figure(stack, "at_qos0"), 400)

    def test_over_tls_with_a_certificate(self):
        stack = self.stack_with_listener()
        cert, key = stack.certificates.issue("device", uri="spiffe://sluice.demo/device/vm-0003")
        for boot, level in enumerate(LEVELS, 1):
            device = Device(f"mqtts://localhost:{stack.listener_port}", {
                "protocolVersion": level, "ca": [stack.certificates.ca().read_text()], "cert": cert.read_text(),
                "key": key.read_text(), "family": 4})
            self.addCleanup(device.close)
            device.connect()
            device.publish("sluice/v1/vm-0003/sale", sales(50, boot), 1)
            self.assertEqual(device.published()["acknowledged"], 50)
            device.leave()
        self.assert_arrived(stack, "vm-0003", numbers(50) + numbers(50, 2))

    def test_refusals_are_told(self):
        stack = self.stack_with_listener(tls=False)
        for level, codes in ((4, (4, 5)), (5, (0x86, 0x87))):
            stranger = self.device(stack, level, password="wrong", reconnectPeriod=0)
            stranger.do("connect", url=stranger.url, options=stranger.options)
            self.assertIn(stranger.wait("error")["code"], codes)
        device = self.device(stack)
        device.connect()
        device.publish("sluice/v1/vm-0001/sale", ['{"boot":1,"seq":1,"product":7}'], 1)
        self.assertEqual([f["code"] for f in device.published()["failed"]], [0x99])   # payload format invalid
        device.publish("sluice/v1/vm-0002/sale", sales(1), 2)
        self.assertEqual([f["code"] for f in device.published()["failed"]], [0x87])   # not authorised
        for filter in ("sluice/v1/vm-0002/ack", "$share/all/sluice/v1/vm-0001/ack"):
            told = device.subscribe(filter)
            self.assertTrue(told["failed"] or told["granted"] == [128], told)
        device.publish("sluice/v1/vm-0001/sale", sales(1), 1)
        self.assertEqual(device.published()["acknowledged"], 1)
        device.leave()
        self.assert_arrived(stack, "vm-0001", numbers(1))
        self.assertEqual(self.effects(stack, "vm-0002"), [])
        self.assertEqual(self.source(stack)["rejected"], 2)

    def test_properties_and_topic_aliases(self):
        stack = self.stack_with_listener(tls=False)
        device = self.device(stack, autoAssignTopicAlias=True, properties={
            "receiveMaximum": 5, "maximumPacketSize": 4000, "userProperties": {"model": "vm"}})
        offered = device.connect()["properties"]
        self.assertGreater(offered["topicAliasMaximum"], 0)
        self.assertGreater(offered["receiveMaximum"], 0)
        properties = {"contentType": "application/json", "userProperties": {"shift": "early"}, "payloadFormatIndicator": True,
                      "messageExpiryInterval": 60}
        self.assertEqual(device.subscribe("tele/vm-0001/#", properties={"subscriptionIdentifier": 3})["granted"], [1])
        told = None
        for first in range(1, 201, 50):
            device.publish("sluice/v1/vm-0001/sale", sales(50, first=first), 1, properties=properties)
            told = device.published()
            self.assertEqual((told["acknowledged"], told["failed"]), (50, []))
        self.assertGreaterEqual(told["aliased"], 199 - 3)
        # More than its receive maximum at once comes back to it, in order.
        device.publish("tele/vm-0001/SENSOR", [f'{{"n":{i}}}' for i in range(40)], 1, properties=properties)
        for i in range(40):
            message = device.wait("message")
            self.assertEqual(message["body"], f'{{"n":{i}}}')
            self.assertEqual(message["properties"]["contentType"], "application/json")
            self.assertEqual(message["properties"]["userProperties"], {"shift": "early"})
            self.assertEqual(message["properties"]["subscriptionIdentifier"], 3)
        device.leave()
        self.assert_arrived(stack, "vm-0001", numbers(200))

    def test_a_network_that_goes_again_and_again(self):
        stack = self.stack_with_listener(tls=False)
        expected, again = [], 0
        for boot, (level, qos) in enumerate([(l, q) for l in LEVELS for q in (1, 2)], 1):
            device = self.device(stack, level, autoAssignTopicAlias=True, **self.session(f"till-{boot}", level))
            device.connect()
            for piece in range(4):
                device.publish("sluice/v1/vm-0001/sale", sales(60, boot, 1 + 60 * piece), qos)
                device.do("lose")
                self.assertTrue(device.wait("connect")["present"])
            heard, device.heard = device.heard, 0
            for _ in range(4):
                told = device.published()
                self.assertEqual((told["acknowledged"], told["failed"]), (60, []))
            device.heard = max(heard, device.heard)
            again += told["again"]
            device.leave()
            expected += numbers(240, boot)
        self.assertGreater(again, 0)
        self.assert_arrived(stack, "vm-0001", expected, in_order=False)

    def test_more_at_once_than_the_receive_maximum(self):
        # MQTT.js does not count; a v5 one is disconnected for it, comes back and brings everything.
        stack = self.stack_with_listener(tls=False, extra="receive_maximum = 20\n")
        for boot, level in enumerate(LEVELS, 1):
            device = self.device(stack, level, **self.session(f"till-{level}", level))
            device.connect()
            device.publish("sluice/v1/vm-0001/sale", sales(300, boot), 1)
            told = device.published()
            self.assertEqual((told["acknowledged"], told["failed"]), (300, []))
            device.heard = 0
            if level == 5:
                self.assertEqual(device.wait("disconnect")["reason"], 0x93)   # receive maximum exceeded
                self.assertTrue(device.wait("connect")["present"])
            device.leave()
        # It learns from it: on the next connection it sends what is left one after the other.
        self.assertEqual(self.figure(stack, "connects"), 3)
        self.assert_arrived(stack, "vm-0001", numbers(300) + numbers(300, 2), in_order=False)

    def test_wills_with_delay(self):
        stack = self.stack_with_listener(tls=False)
        def will(seq, **properties):
            return {"topic": "sluice/v1/vm-0001/status", "payload": '{"boot":1,"seq":%d,"state":"offline"}' % seq, "qos": 1,
                    "retain": True, **({"properties": properties} if properties else {})}
        # Back in time: no will. Lost for good: after the delay.
        device = self.device(stack, will=will(1, willDelayInterval=30), **self.session("back", 5))
        device.connect()
        device.do("lose")
        self.assertTrue(device.wait("connect")["present"])
        device.leave()
        device = self.device(stack, will=will(2, willDelayInterval=1), **self.session("gone", 5))
        device.connect()
        device.close()
        device = self.device(stack, 4, will=will(3), **self.session("old", 4))
        device.connect()
        device.close()
        self.assert_arrived(stack, "vm-0001", [(1, 2), (1, 3)], service="shop", in_order=False)

    def test_a_gateway_that_dies_under_a_client(self):
        stack = self.stack_with_listener(tls=False)
        for boot, level in enumerate(LEVELS, 1):
            device = self.device(stack, level, **self.session(f"till-{level}", level))
            device.connect()
            self.assertEqual(device.subscribe("sluice/v1/vm-0001/ack")["granted"], [1])
            device.publish("sluice/v1/vm-0001/sale", sales(100, boot), 1)
            stack.processes["sluiced"].kill()
            device.publish("sluice/v1/vm-0001/sale", sales(100, boot, 101), 1)
            device.heard = 0
            device.wait("connect")
            self.start_listener(stack)
            self.assertFalse(device.wait("connect")["present"], "sessions are in memory")
            device.heard = 0
            for _ in range(2):
                told = device.published()
                self.assertEqual((told["acknowledged"], told["failed"]), (100, []))
            device.leave()
        self.assert_arrived(stack, "vm-0001", [n for boot in (1, 2) for n in numbers(200, boot)], in_order=False)


if __name__ == "__main__":
    packages = npm_packages.install(npm_packages.MQTTJS)
    try:
        run()
    finally:
        shutil.rmtree(packages, ignore_errors=True)
