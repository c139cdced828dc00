"""The same hop by NATS: publishers → leaf node with a JetStream file store → hub with another that sources it → a counting consumer.

Each publish waits for the leaf's stream to acknowledge it. That is less than ours: nats-server 2.9 flushes its files every two
minutes, so what it acknowledged can be lost with the power.
"""

import json
import shutil
import socket
from contextlib import contextmanager

from bridge_side import BridgeSide
from demo import Process, Stack, free_port, wait_until
from load import Result, ended, first_send
from measure import Follower, Refused, cpu_seconds, end_unwaited, first_sends, peak_rss_mib, written_bytes
from sluice_side import figures


class NatsSide:
    name = "nats"

    def __init__(self, folder, binaries):
        self.folder, self.binaries = folder, binaries

    @staticmethod
    def installed():
        return shutil.which("nats-server")

    @contextmanager
    def stack(self, name):
        folder = self.folder / f"nats-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        with Stack(folder, binaries=self.binaries) as stack:
            stack.leaf_port, hub_port, link_port = free_port(), free_port(), free_port()
            self.start(stack, "hub", hub_port, f"leafnodes {{ listen: 127.0.0.1:{link_port} }}")
            self.start(stack, "leaf", stack.leaf_port, f'leafnodes {{ remotes: [ {{ url: "nats-leaf://127.0.0.1:{link_port}" }} ] }}')
            request(stack.leaf_port, "$JS.API.STREAM.CREATE.EDGE", name="EDGE", subjects=["sluice.>"], storage="file")
            request(hub_port, "$JS.API.STREAM.CREATE.HUB", name="HUB", storage="file",
                    sources=[{"name": "EDGE", "external": {"api": "$JS.leaf.API", "deliver": ""}}])
            stack.arrived = folder / "arrived.txt"
            sink = stack._start("sink", [self.binaries / "sluice-bench-nats", "sink", hub_port, "HUB", stack.arrived])
            sink.expect(lambda: "subscribed" in sink.tail(), 10, "subscribed")
            self.warm_up(stack)
            yield stack
        shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def start(stack, name, port, leafnodes):
        config = stack.folder / f"{name}.conf"
        config.write_text(f"""listen: 127.0.0.1:{port}
server_name: {name}
jetstream {{ store_dir: "{stack.folder}/{name}", domain: {name} }}
{leafnodes}
""")
        process = Process(name, [NatsSide.installed(), "-c", config], stack.log(name))
        stack.processes[name] = process
        process.expect(lambda: stack._answers(port), 10, "port open")

    def publish(self, stack, ledger, limit, devices, events, rate, prefix=""):
        return ended(stack._start(f"sim-{ledger.stem}", [self.binaries / "sluice-bench-nats", "publish", stack.leaf_port, ledger,
                                                         prefix, devices, events, rate]), limit)

    def warm_up(self, stack):
        """Until messages have gone the whole way."""
        self.publish(stack, stack.folder / "sim/warm.tsv", 30, 2, 40, 200, prefix="warm-")
        wait_until(lambda: stack.arrived.read_text().count("\n") >= 40, 20, "40 messages reach the hub's consumer")

    def run(self, name, load, latency=False):
        with self.stack(name) as stack:
            leaf = stack.processes["leaf"]
            ledger = stack.folder / "sim/run.tsv"
            follower = Follower([stack.arrived], interval=0.02)
            cpu, written = cpu_seconds(leaf.pid), written_bytes(leaf.pid)
            totals = self.publish(stack, ledger, 900, load["vending"], load["events"], load.get("rate", 0))
            follower.wait_still(1.5, 120)
            follower.stop()
            result = Result(events=totals["produced"], puback=totals["puback_ms"])
            result.eps = result.events / (follower.last_growth - first_send(ledger))
            result.puback_eps = totals["puback"] / totals["seconds"]
            result.cpu_s_per_100k = (cpu_seconds(leaf.pid) - cpu) * 100_000 / result.events
            result.rss_mib = peak_rss_mib(leaf.pid)
            end_unwaited(leaf)
            result.bytes_per_event = (written_bytes(leaf.pid) - written) / result.events
            sends = first_sends(ledger)
            arrived = BridgeSide.count(stack, sends, result)
            if latency:
                result.latency = figures(sends, arrived)
            return result


def request(port, subject, **body):
    """One call of the JetStream API."""
    text = json.dumps(body).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b'CONNECT {"verbose":false}\r\nSUB _INBOX.bench 1\r\n' +
                           f"PUB {subject} _INBOX.bench {len(text)}\r\n".encode() + text + b"\r\n")
        answer = connection.makefile("rb")
        while not (line := answer.readline()).startswith(b"MSG "):
            if not line or line.startswith(b"-ERR"):
                raise Refused(f"NATS on port {port}: {line.decode()}")
        result = json.loads(answer.read(int(line.split()[-1])))
    if "error" in result:
        raise Refused(f"NATS {subject}: {result['error']}")
    return result
