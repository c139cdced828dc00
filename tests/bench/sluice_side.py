"""Sluice under load: devices → Mosquitto → sluiced → mTLS gRPC → sluice-cloud → the bus file."""

import shutil
import time
from contextlib import contextmanager

from demo import Stack, free_port
from load import Proxy, Result, first_send, run_sim, through_broker
from measure import (Follower, Refused, arrivals, cpu_seconds, end_unwaited, first_sends, latencies, peak_rss_mib, percentile,
                     written_bytes)

SERVICES = ("shop", "inventory", "attendance")


class SluiceSide:
    """Each run has its own stack, so that no run's memory or store is another's."""
    name = "sluice"

    def __init__(self, folder, binaries):
        self.folder, self.binaries = folder, binaries

    @contextmanager
    def stack(self, name, proxied=False, delay_ms=0, **how):
        folder = self.folder / f"{self.name}-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        with self.new_stack(folder) as stack:
            stack.retention["bus_file_bytes"] = 1 << 40   # the follower stays with one file
            stack.start_cloud()
            stack.proxies, addresses = [], {}
            if proxied:
                for service in SERVICES:
                    port = free_port()
                    stack.proxies.append(Proxy(stack, service, port, stack.cloud_addresses[service], delay_ms))
                    addresses[service] = f"127.0.0.1:{port}"
            self.start_gateway(stack, addresses, **how)
            stack.bus = [folder / f"cloud/{service}-events.jsonl" for service in SERVICES]
            self.warm_up(stack)
            yield stack
        shutil.rmtree(folder, ignore_errors=True)

    def new_stack(self, folder):
        return Stack(folder, binaries=self.binaries)

    def start_gateway(self, stack, addresses):
        stack.start_broker()
        stack.server = through_broker(stack)
        stack.start_gateway(config=stack.write_gateway_config(mqtt_tls=False, addresses=addresses))

    def warm_up(self, stack):
        """Until an event of each class has gone the whole way: all streams stand."""
        stack.warm_ledger = stack.folder / "sim/warm.tsv"
        run_sim(stack, stack.warm_ledger, 60, prefix="warm-", vending=2, terminals=1, events=60, rate=200, wait_receipts=40,
                resend_after=300)
        code, verdict = stack.judge([stack.warm_ledger], wait=30)
        if code:
            raise Refused(f"60 events did not go the whole way: {verdict}\n{stack.processes['sluiced'].tail()}")

    def verdict(self, stack, ledger, result):
        _, verdict = stack.judge([ledger, stack.warm_ledger], wait=60)
        result.lost, result.duplicates = verdict["missing"], verdict["duplicates"] + verdict["order_breaks"]
        if verdict["missing"] or result.duplicates:
            print(f"bench: the judge: {verdict}", flush=True)

    def run(self, name, load, delay_ms=0, latency=False, **how):
        with self.stack(name, proxied=delay_ms > 0, delay_ms=delay_ms, **how) as stack:
            daemon, broker = stack.processes["sluiced"], stack.processes.get("mosquitto")
            ledger = stack.folder / "sim/run.tsv"
            follower = Follower(stack.bus, keep=latency, interval=0.0005 if latency else 0.02)
            cpu, written = cpu_seconds(daemon.pid), written_bytes(daemon.pid)
            broker_cpu = cpu_seconds(broker.pid) if broker else 0
            totals = run_sim(stack, ledger, 900, wait_receipts=120, **load)
            follower.wait_still(1.5, 120)
            result = Result(events=totals["produced"], puback=totals["puback_ms"])
            result.eps = result.events / (follower.last_growth - first_send(ledger))
            result.puback_eps = totals["puback"] / totals["seconds"]
            per_100k = 100_000 / result.events
            result.cpu_s_per_100k = (cpu_seconds(daemon.pid) - cpu) * per_100k
            if broker:
                result.broker_cpu_s_per_100k = (cpu_seconds(broker.pid) - broker_cpu) * per_100k
            result.rss_mib = peak_rss_mib(daemon.pid)
            self.verdict(stack, ledger, result)
            follower.stop()
            end_unwaited(daemon)  # with its last checkpoint
            result.bytes_per_event = (written_bytes(daemon.pid) - written) / result.events
            if latency:
                result.latency = figures(first_sends(ledger), arrivals(follower))
            return result

    def drain(self, name, load):
        """The uplink is cut, the load is taken, the uplink returns."""
        with self.stack(name, proxied=True) as stack:
            daemon = stack.processes["sluiced"]
            ledger = stack.folder / "sim/run.tsv"
            for proxy in stack.proxies:
                proxy.down()
            totals = run_sim(stack, ledger, 1800, wait_receipts=300, **load)
            time.sleep(4)  # beyond spill_after: the backlog lies in the outbox
            follower = Follower(stack.bus, interval=0.01)
            begin = time.time()
            for proxy in stack.proxies:
                proxy.up()
            follower.wait_still(6, 1800)
            follower.stop()
            result = Result(events=totals["produced"], rss_mib=peak_rss_mib(daemon.pid))
            result.reconnect_s = follower.first_growth - begin
            result.eps = result.events / (follower.last_growth - follower.first_growth)
            self.verdict(stack, ledger, result)
            return result


def figures(sends, arrived):
    everything, critical, bulk = latencies(sends, arrived)
    return {"p50": percentile(everything, 0.5), "p99": percentile(everything, 0.99),
            "p99_critical": percentile(critical, 0.99), "p99_bulk": percentile(bulk, 0.99)}
