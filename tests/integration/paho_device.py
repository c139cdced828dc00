"""A device that speaks through Eclipse Paho's Python client, for tests."""

import socket
import sys
import threading

from listener_harness import skip

# Debian's package belongs to Debian's interpreter; the client is pure Python and serves any other as well.
sys.path.append("/usr/lib/python3/dist-packages")
try:
    import paho.mqtt.client as mqtt
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
except ImportError:
    mqtt = None

# Paho's Python name for protocol levels 4 and 5.
LEVELS = {"311": 4, "5": 5}


def need_paho():
    if mqtt is None:
        skip("paho.mqtt is not installed (Debian: python3-paho-mqtt)")


class Device:
    """One client with its own thread, and what happened to it."""

    def __init__(self, port, device, password, level="5", client_id="", clean=True, expiry_s=0, will=None, keepalive=60):
        self.port, self.level, self.keepalive, self.clean = port, level, keepalive, clean
        protocol = LEVELS[level]
        self.client = (mqtt.Client(client_id, protocol=protocol) if level == "5" else
                       mqtt.Client(client_id, protocol=protocol, clean_session=clean))
        # Come back at once: on one machine nobody storms.
        self.client.reconnect_delay_set(1, 2)
        self.client.username_pw_set(device, password)
        self.properties = None
        if level == "5":
            self.properties = Properties(PacketTypes.CONNECT)
            self.properties.SessionExpiryInterval = expiry_s
        if will:
            self.client.will_set(*will)
        self.changed = threading.Condition()
        self.connacks, self.losses, self.acknowledged, self.messages, self.granted = [], [], [], [], []
        self.client.on_connect = lambda _c, _u, flags, code, *_: self._note(self.connacks, (int(getattr(code, "value", code)),
                                                                                         flags["session present"]))
        self.client.on_disconnect = lambda _c, _u, code, *_: self._note(self.losses, int(getattr(code, "value", code)))
        self.client.on_publish = lambda _c, _u, mid: self._note(self.acknowledged, mid)
        self.client.on_subscribe = lambda _c, _u, _mid, codes, *_: self._note(
            self.granted, [int(getattr(c, "value", c)) for c in codes])
        self.client.on_message = lambda _c, _u, m: self._note(self.messages, (m.topic, m.payload, m.qos, m.retain))

    def _note(self, where, what):
        with self.changed:
            where.append(what)
            self.changed.notify_all()

    def wait(self, check, what, seconds=30):
        with self.changed:
            if not self.changed.wait_for(check, seconds):
                raise AssertionError(f"{what}: not within {seconds} s; connacks {self.connacks}, losses {self.losses}, "
                                     f"{len(self.acknowledged)} acknowledged, {len(self.messages)} messages")

    def disconnected_within(self, seconds):
        with self.changed:
            return self.changed.wait_for(lambda: self.losses, seconds)

    def connect(self):
        options = {"clean_start": self.clean, "properties": self.properties} if self.level == "5" else {}
        self.client.connect("127.0.0.1", self.port, self.keepalive, **options)
        self.client.loop_start()
        self.wait(lambda: self.connacks, "CONNACK")
        return self.connacks[-1]

    def publish(self, topic, bodies, qos):
        return [self.client.publish(topic, body, qos) for body in bodies]

    def subscribe(self, filter, qos):
        before = len(self.granted)
        self.client.subscribe(filter, qos)
        self.wait(lambda: len(self.granted) > before, "SUBACK")
        return self.granted[-1]

    def lose(self):
        """The network goes, without a DISCONNECT; the client's thread notices and comes back."""
        self.client.socket().shutdown(socket.SHUT_RDWR)

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self):
        """As if the device lost its power: no DISCONNECT, no coming back."""
        self.client._thread_terminate = True
        self.lose()
        self.client.loop_stop()
