"""Devices as they come out of the box, on their own topics: what they say there is kept and counted, and is no event."""

import json
import shutil

from listener_harness import ListenerTest, numbers, run, sales
from paho_device import Device, need_paho
import npm_packages


class DeviceLike(ListenerTest):
    def device(self, stack, device, **kwargs):
        made = Device(stack.listener_port, device, stack.device_passwords[device], **kwargs)
        self.addCleanup(made.client.loop_stop)
        return made

    def watcher(self, stack, device, filter):
        """A second client of the same device: only it sees what the device says on its own topics."""
        made = self.device(stack, device, client_id="watcher")
        made.connect()
        self.assertEqual(made.subscribe(filter, 1), [1])
        return made

    def say(self, device, messages, qos):
        """(topic, body, retain); awaits what is answered."""
        for info in [device.client.publish(topic, body, qos, retain) for topic, body, retain in messages]:
            info.wait_for_publish(30)
            self.assertTrue(info.is_published())

    def assert_kept(self, stack, device, filter, expected):
        """What a client of the device that comes later finds."""
        late = self.device(stack, device)
        late.connect()
        late.subscribe(filter, 1)
        late.wait(lambda: len(late.messages) >= len(expected), f"what is kept under {filter}")
        self.assertEqual({topic: body.decode() for topic, body, _, retain in late.messages if retain}, expected)
        late.leave()

    def test_tasmota(self):
        stack = self.stack_with_listener(tls=False, devices=("plug-1",), topics=("tele/{device}/#", "stat/{device}/#",
                                                                                 "cmnd/{device}/#"))
        own = lambda prefix, name: f"{prefix}/plug-1/{name}"
        for boot, qos in enumerate((0, 1), 1):
            plug = self.device(stack, "plug-1", level="311", client_id="DVES_1A2B3C", keepalive=30,
                               will=(own("tele", "LWT"), "Offline", 1, True))
            plug.connect()
            self.assertEqual(plug.subscribe("cmnd/plug-1/#", 0), [0])
            # Topics of all plugs and of the fallback name are nobody's here: refused, and the connection stays.
            self.assertEqual(plug.subscribe("cmnd/tasmotas/#", 0), [0x80])
            self.assertEqual(plug.subscribe("cmnd/DVES_1A2B3C_fb/#", 0), [0x80])
            self.say(plug, [(own("tele", "LWT"), "Online", True), (own("cmnd", "POWER"), "", False),
                            (own("tele", "INFO1"), '{"Info1":{"Module":"Generic","Version":"14.1.0"}}', False),
                            (own("tele", "STATE"), '{"Time":"2026-03-01T08:00:00","Uptime":"0T00:00:19","POWER":"ON"}', False),
                            (own("tele", "SENSOR"), '{"Time":"2026-03-01T08:00:00","ENERGY":{"Power":12}}', False),
                            (own("stat", "POWER"), "ON", True)], qos)
            # What somebody tells the plug through its own account reaches it.
            other = self.device(stack, "plug-1", level="311")
            other.connect()
            self.say(other, [(own("cmnd", "POWER"), "TOGGLE", False)], 1)
            plug.wait(lambda: (own("cmnd", "POWER"), b"TOGGLE", 0, 0) in plug.messages, "the command")
            other.leave()
            # The rule that makes an event of it.
            self.say(plug, [("sluice/v1/plug-1/sale", body, False) for body in sales(20, boot)], qos)
            self.assert_kept(stack, "plug-1", "tele/plug-1/#", {own("tele", "LWT"): "Online"})
            watcher = self.watcher(stack, "plug-1", own("tele", "LWT"))
            plug.vanish()
            watcher.wait(lambda: (own("tele", "LWT"), b"Offline", 1, 0) in watcher.messages, "its will")
            watcher.leave()
            self.assert_kept(stack, "plug-1", "stat/plug-1/#", {own("stat", "POWER"): "ON"})
        self.assert_arrived(stack, "plug-1", numbers(20, 1) + numbers(20, 2))
        self.assertEqual((self.source(stack)["events"], self.source(stack)["rejected"]), (40, 0))
        self.assertEqual(self.figure(stack, "other_topics"), 2 * (6 + 1 + 1))

    def test_shelly(self):
        stack = self.stack_with_listener(tls=False, devices=("shelly1-A4CF12", "shellyplus1-b48a0a"),
                                         topics=("shellies/{device}/#", "{device}/#"))
        # First generation.
        first = self.device(stack, "shelly1-A4CF12", level="311", client_id="shelly1-A4CF12",
                            will=("shellies/shelly1-A4CF12/online", "false", 0, True))
        first.connect()
        self.assertEqual(first.subscribe("shellies/shelly1-A4CF12/relay/0/command", 0), [0])
        self.assertEqual(first.subscribe("shellies/command", 0), [0x80])
        announce = '{"id":"shelly1-A4CF12","model":"SHSW-1","mac":"A4CF12","ip":"192.0.2.4","fw_ver":"20230913"}'
        self.say(first, [("shellies/shelly1-A4CF12/online", "true", True), ("shellies/shelly1-A4CF12/announce", announce, False),
                         ("shellies/shelly1-A4CF12/relay/0", "on", True), ("shellies/shelly1-A4CF12/input/0", "0", True),
                         ("shellies/shelly1-A4CF12/temperature", "41.5", True)], 0)
        # To all: nobody hears it here.
        self.say(first, [("shellies/announce", announce, False)], 1)
        self.say(first, [("sluice/v1/shelly1-A4CF12/sale", body, False) for body in sales(20)], 1)
        self.assert_kept(stack, "shelly1-A4CF12", "shellies/shelly1-A4CF12/#", {
            "shellies/shelly1-A4CF12/online": "true", "shellies/shelly1-A4CF12/relay/0": "on",
            "shellies/shelly1-A4CF12/input/0": "0", "shellies/shelly1-A4CF12/temperature": "41.5"})
        # Second generation: JSON-RPC over topics that begin with the device's name.
        name = "shellyplus1-b48a0a"
        second = self.device(stack, name, level="311", client_id=name, will=(f"{name}/online", "false", 0, True))
        second.connect()
        for filter in (f"{name}/rpc", f"{name}/command", f"{name}/command/switch:0"):
            self.assertEqual(second.subscribe(filter, 1), [1])
        self.say(second, [(f"{name}/online", "true", True), (f"{name}/status/switch:0", '{"id":0,"output":true}', True)], 1)
        caller = self.watcher(stack, name, f"{name}/caller/rpc")
        self.say(caller, [(f"{name}/rpc", json.dumps({"id": 7, "src": f"{name}/caller", "method": "Switch.Set"}), False)], 1)
        second.wait(lambda: any(topic == f"{name}/rpc" for topic, *_ in second.messages), "the request")
        request = json.loads(second.messages[0][1])
        self.say(second, [(request["src"] + "/rpc", json.dumps({"id": request["id"], "src": name, "result": {}}), False),
                          (f"{name}/events/rpc", '{"method":"NotifyStatus","params":{}}', False)], 1)
        caller.wait(lambda: any(json.loads(body)["id"] == 7 for _, body, *_ in caller.messages), "the answer")
        caller.leave()
        # A pattern that begins with the name gives it nothing of sluice/v1.
        self.say(second, [(f"sluice/v1/{name}/sale", body, False) for body in sales(20)], 1)
        watcher = self.watcher(stack, name, f"{name}/online")
        second.vanish()
        watcher.wait(lambda: (f"{name}/online", b"false", 0, 0) in watcher.messages, "its will")
        watcher.leave()
        first.leave()
        for device in (name, "shelly1-A4CF12"):
            self.assert_arrived(stack, device, numbers(20))
        self.assertEqual(self.source(stack)["events"], 40)
        self.assertEqual((self.source(stack)["rejected"], self.figure(stack, "refused_not_authorized")), (1, 1))   # shellies/announce

    def test_sparkplug(self):
        packages = npm_packages.install(npm_packages.SPARKPLUG, unless=self.skipTest)
        self.addCleanup(shutil.rmtree, packages, ignore_errors=True)
        stack = self.stack_with_listener(tls=False, devices=("node-1",), topics=("spBv1.0/shop/+/{device}/#",))
        watcher = self.watcher(stack, "node-1", "spBv1.0/shop/+/node-1/#")
        topic = lambda kind, probe="": f"spBv1.0/shop/{kind}/node-1{probe}"
        heard = lambda t: [body for at, body, *_ in watcher.messages if at == t]

        node = npm_packages.Program("sparkplug.js", packages)
        self.addCleanup(node.close)
        node.do("connect", options={"serverUrl": f"mqtt://127.0.0.1:{stack.listener_port}", "username": "node-1",
                                    "password": stack.device_passwords["node-1"], "groupId": "shop", "edgeNode": "node-1",
                                    "clientId": "node-1", "keepalive": 1, "publishDeath": True,
                                    "mqttOptions": {"reconnectPeriod": 100}})
        node.wait("birth")
        node.do("data", count=20)
        watcher.wait(lambda: len(heard(topic("NBIRTH"))) == 1 and len(heard(topic("DBIRTH", "/probe"))) == 1, "its births")
        watcher.wait(lambda: len(heard(topic("NDATA"))) == 20 and len(heard(topic("DDATA", "/probe"))) == 20, "its data")
        # A command of the device's own account: a payload with a time stamp and no metric.
        watcher.client.publish(topic("NCMD"), b"\x08\x01", 0)
        self.assertEqual(node.wait("ncmd")["names"], [])
        # The network goes: NDEATH is its will, and names the birth it ends.
        node.do("lose")
        node.wait("birth")
        watcher.wait(lambda: len(heard(topic("NDEATH"))) == 1 and len(heard(topic("NBIRTH"))) == 2, "its death and its next birth")
        self.assertTrue(all(b"bdSeq" in body for body in heard(topic("NDEATH")) + heard(topic("NBIRTH"))))
        # Its pings keep it alive for longer than 1.5 times its keep alive of 1 s.
        node.do("data", count=1)
        watcher.wait(lambda: len(heard(topic("NDATA"))) == 21, "more data")
        connects = self.figure(stack, "connects")
        self.assertFalse(watcher.disconnected_within(3))
        self.assertEqual((self.figure(stack, "connects"), self.figure(stack, "closed_keep_alive")), (connects, 0))
        # It says itself that it goes.
        node.do("end")
        watcher.wait(lambda: len(heard(topic("NDEATH"))) == 2, "its last words")
        self.say(watcher, [("sluice/v1/node-1/sale", body, False) for body in sales(5)], 2)
        watcher.leave()
        self.assert_arrived(stack, "node-1", numbers(5))
        self.assertEqual((self.source(stack)["events"], self.source(stack)["rejected"]), (5, 0))
        self.assertGreaterEqual(self.figure(stack, "other_topics"), 2 * 2 + 2 * 21 + 1 + 2)


if __name__ == "__main__":
    need_paho()
    run()
