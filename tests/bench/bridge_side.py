"""The same hop by a Mosquitto bridge: devices → broker A → bridge over mTLS, QoS 1 → broker B → a counting subscriber."""

import os
import pwd
import shutil
import time
from contextlib import contextmanager

from demo import Process, Stack, free_port
from load import Proxy, Result, first_send, run_sim, through_broker
from measure import (Follower, Refused, cpu_seconds, end_unwaited, first_sends, peak_rss_mib, written_bytes)
from sluice_side import figures


class BridgeSide:
    name = "bridge"

    def __init__(self, folder, binaries):
        self.folder, self.binaries = folder, binaries

    @contextmanager
    def stack(self, name, proxied=False, delay_ms=0):
        folder = self.folder / f"bridge-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        with Stack(folder, binaries=self.binaries) as stack:
            mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
            far_tls, far_plain = free_port(), free_port()
            cert, key = stack.certificates.issue("broker-b", dns=["localhost"])
            far = folder / "far.conf"
            far.write_text(f"""user {pwd.getpwuid(os.getuid()).pw_name}
per_listener_settings true
max_queued_messages 0
max_inflight_messages 0
listener {far_tls} 127.0.0.1
cafile {stack.certificates.ca()}
certfile {cert}
keyfile {key}
require_certificate true
use_identity_as_username true
listener {far_plain} 127.0.0.1
allow_anonymous true
""")
            process = stack._start("broker-b", [mosquitto, "-c", far])
            process.expect(lambda: stack._answers(far_plain), 10, "ports open")
            stack.arrived = folder / "arrived.txt"
            sink = stack._start("sink", [self.binaries / "sluice-bench-sink", far_plain, stack.arrived])
            sink.expect(lambda: "subscribed" in sink.tail(), 10, "subscribed")
            stack.proxies, port = [], far_tls
            if proxied:
                port = free_port()
                stack.proxies.append(Proxy(stack, "bridge", port, f"127.0.0.1:{far_tls}", delay_ms))
            self.start_near(stack, mosquitto, port)
            self.warm_up(stack)
            yield stack
        shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def start_near(stack, mosquitto, port):
        """The devices' broker exactly as beside sluiced, and the bridge in it. It speaks 3.1.1: with max_inflight_messages 0
        Mosquitto 2.0.11 announces a receive maximum of 0, which MQTT 5 forbids."""
        stack.broker_port, stack.broker_tls_port = free_port(), free_port()
        stack.server = through_broker(stack)
        config = stack.write_broker_config()
        cert, key = stack.certificates.issue("bridge", dns=["localhost"])
        with open(config, "a", encoding="utf-8") as out:
            out.write(f"""
connection up
address 127.0.0.1:{port}
topic sluice/v1/+/+ out 1
cleansession false
notifications false
try_private false
bridge_protocol_version mqttv311
restart_timeout 1 2
bridge_cafile {stack.certificates.ca()}
bridge_certfile {cert}
bridge_keyfile {key}
""")
        process = Process("mosquitto", [mosquitto, "-c", config], stack.log("mosquitto"))
        stack.processes["mosquitto"] = process
        process.expect(lambda: stack._answers(stack.broker_port), 10, "ports open")

    @staticmethod
    def warm_up(stack):
        follower = Follower([stack.arrived])
        run_sim(stack, stack.folder / "sim/warm.tsv", 30, prefix="warm-", vending=2, events=40, rate=200, trust="puback")
        follower.wait_still(1, 10)
        follower.stop()
        if follower.lines < 40:
            raise Refused(f"the bridge carries nothing:\n{stack.processes['mosquitto'].tail()}")

    @staticmethod
    def count(stack, sends, result):
        """Arrivals by (device, seq); fills in lost and duplicates."""
        arrived, lines = {}, 0
        with open(stack.arrived, encoding="utf-8") as text:
            for line in text:
                device, seq, us = line.split()
                if device.startswith("warm-"):
                    continue
                lines += 1
                arrived.setdefault((device, int(seq)), int(us) / 1e6)
        result.lost = len(sends) - len(arrived)
        result.duplicates = lines - len(arrived)
        return arrived

    def run(self, name, load, delay_ms=0, latency=False):
        with self.stack(name, proxied=delay_ms > 0, delay_ms=delay_ms) as stack:
            broker = stack.processes["mosquitto"]
            ledger = stack.folder / "sim/run.tsv"
            follower = Follower([stack.arrived], interval=0.02)
            cpu, written = cpu_seconds(broker.pid), written_bytes(broker.pid)
            totals = run_sim(stack, ledger, 900, trust="puback", wait_receipts=120, **load)
            follower.wait_still(1.5, 120)
            follower.stop()
            result = Result(events=totals["produced"], puback=totals["puback_ms"])
            result.eps = result.events / (follower.last_growth - first_send(ledger))
            result.puback_eps = totals["puback"] / totals["seconds"]
            result.cpu_s_per_100k = (cpu_seconds(broker.pid) - cpu) * 100_000 / result.events
            result.rss_mib = peak_rss_mib(broker.pid)
            end_unwaited(broker)
            result.bytes_per_event = (written_bytes(broker.pid) - written) / result.events
            sends = first_sends(ledger)
            arrived = self.count(stack, sends, result)
            if latency:
                result.latency = figures(sends, arrived)
            return result

    def drain(self, name, load):
        with self.stack(name, proxied=True) as stack:
            ledger = stack.folder / "sim/run.tsv"
            for proxy in stack.proxies:
                proxy.down()
            totals = run_sim(stack, ledger, 1800, trust="puback", wait_receipts=300, **load)
            follower = Follower([stack.arrived], interval=0.01)
            begin = time.time()
            for proxy in stack.proxies:
                proxy.up()
            follower.wait_still(6, 1800)
            follower.stop()
            result = Result(events=totals["produced"], rss_mib=peak_rss_mib(stack.processes["mosquitto"].pid))
            result.reconnect_s = follower.first_growth - begin
            result.eps = result.events / (follower.last_growth - follower.first_growth)
            self.count(stack, first_sends(ledger), result)
            return result
