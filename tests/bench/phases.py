"""What is measured of each member. Figures go to `out` as soon as they are there."""

import json
import subprocess

from demo import Process, free_port
from load import flat_out, paced, say
from measure import Refused


class Phases:
    def __init__(self, side, options, out):
        self.side, self.quick, self.out = side, options.quick, out
        self.backlog_events = options.backlog if options.backlog is not None else (100_000 if options.quick else 1_000_000)
        self.out.update(lost=0, duplicates=0)

    def has(self, phase):
        return hasattr(self, f"phase_{phase}")

    def note(self, result, **figures):
        if not result.counted:
            result.counted = True
            self.out["lost"] += result.lost
            self.out["duplicates"] += result.duplicates
        for name, value in figures.items():
            self.out[name] = round(value, 2) if isinstance(value, float) else value
        say(f"{self.side.name}: " + ", ".join(f"{k} {self.out[k]}" for k in figures) +
            (f"; LOST {result.lost}" if result.lost else "") + (f"; DOUBLED {result.duplicates}" if result.duplicates else ""))

    def latency(self, result, suffix):
        self.note(result, **{f"{name}_ms_{suffix}": value for name, value in result.latency.items()})

    def puback(self, result, suffix):
        self.note(result, **{f"puback_{name}_ms_{suffix}": result.puback[name] for name in ("p50", "p99")})


class PathPhases(Phases):
    """Through Mosquitto: Sluice and the bridge."""

    def phase_100(self):
        self.latency(self.side.run("100", paced(100, 5 if self.quick else 30, 0.1), latency=True), "100")

    def phase_1000(self):
        result = self.side.run("1000", paced(1000, 10 if self.quick else 65, 0.1), latency=True)
        self.latency(result, "1000")
        self.note(result, bytes_per_event_1000=result.bytes_per_event, rss_mib_1000=result.rss_mib,
                  cpu_s_per_100k_1000=result.cpu_s_per_100k)

    def phase_bulk1000(self):
        result = self.side.run("bulk1000", paced(1000, 10 if self.quick else 65, 0))
        self.note(result, bytes_per_event_1000_bulk=result.bytes_per_event)

    def phase_flat(self):
        events = 60_000 if self.quick else 300_000
        for name, share in (("max_eps", 0.0), ("max_eps_mix", 0.1), ("max_eps_critical", 1.0)):
            result = self.side.run(name, flat_out(events, share))
            self.note(result, **{name: result.eps})
            if name == "max_eps":
                self.note(result, rss_mib=result.rss_mib, cpu_s_per_100k=result.cpu_s_per_100k,
                          broker_cpu_s_per_100k=result.broker_cpu_s_per_100k)

    def phase_rtt(self):
        seconds = 5 if self.quick else 20
        for rtt in (40, 100):
            for rate in (100, 1000):
                result = self.side.run(f"rtt{rtt}-{rate}", paced(rate, seconds, 0.1), delay_ms=rtt // 2, latency=True)
                self.latency(result, f"{rate}_rtt{rtt}")

    def phase_drain(self):
        result = self.side.drain("drain", flat_out(10_000 if self.quick else 50_000, 0.1))
        self.note(result, drain_eps=result.eps, drain_reconnect_s=result.reconnect_s)

    def phase_backlog(self):
        if not self.backlog_events:
            return
        result = self.side.drain("backlog", flat_out(self.backlog_events, 0.1))
        self.note(result, rss_backlog_mib=result.rss_mib, backlog_events=self.backlog_events, backlog_drain_eps=result.eps)


class DirectPhases(Phases):
    """What devices are connected to acknowledges itself: 20 devices where nothing else is said."""
    DEVICES = 20

    def paced_run(self, rate, seconds, **how):
        result = self.side.run(str(rate), paced(rate, 5 if self.quick else seconds, 0.1, self.DEVICES), latency=True, **how)
        self.latency(result, str(rate))
        self.puback(result, str(rate))
        self.note(result, **{f"bytes_per_event_{rate}": result.bytes_per_event})
        return result

    def phase_100(self):
        self.paced_run(100, 60)

    def phase_1000(self):
        result = self.paced_run(1000, 65)
        self.note(result, rss_mib_20=result.rss_mib, cpu_s_per_100k_1000=result.cpu_s_per_100k)

    def flat(self, name, events, share, devices, **how):
        """Two rates: to the cloud's commit, and to the last PUBACK."""
        result = self.side.run(name, flat_out(events, share, devices), **how)
        self.note(result, **{name: result.eps, name.replace("max_eps", "max_puback_eps"): result.puback_eps})
        return result

    def phase_flat(self):
        events = 60_000 if self.quick else 400_000
        self.flat("max_eps_20", events, 0.0, 20)
        result = self.flat("max_eps_200", events, 0.0, 200)
        self.note(result, rss_mib_flat=result.rss_mib, cpu_s_per_100k=result.cpu_s_per_100k)


class ListenerPhases(DirectPhases):
    def phase_flat(self):
        super().phase_flat()
        events = 60_000 if self.quick else 400_000
        self.flat("max_eps_200_mix", events, 0.1, 200)
        self.flat("max_eps_200_critical", events, 1.0, 200)

    def phase_connections(self):
        seconds = 5 if self.quick else 20
        for name, tls in (("rss_mib_2000", False), ("rss_mib_2000_tls", True)):
            result = self.side.run(name, paced(1000, seconds, 0.1, 2000), tls=tls)
            self.note(result, **{name: result.rss_mib})

    def phase_slow(self):
        """Each flush of the gateway takes 10 ms more."""
        for rate in (100, 1000):
            load = paced(rate, 5 if self.quick else 30, 0.1, self.DEVICES)
            result = self.side.run(f"slow{rate}", load, latency=True, flush_ms=10)
            self.puback(result, f"{rate}_slow")
            self.latency(result, f"{rate}_slow")
            self.note(result, **{f"bytes_per_event_{rate}_slow": result.bytes_per_event,
                                 f"cpu_s_per_100k_{rate}_slow": result.cpu_s_per_100k, f"rss_mib_{rate}_slow": result.rss_mib})
        self.flat("max_eps_20_slow", 60_000 if self.quick else 400_000, 0.0, self.DEVICES, flush_ms=10)


class NatsPhases(DirectPhases):
    """The same; its publisher sends telemetry only."""


def generator(binaries, folder, quick):
    """What the load generator does alone, against a server that acknowledges at once. Wanted: far more than any member takes."""
    out = {}
    port = free_port()
    sink = Process("puback", [binaries / "sluice-bench-puback", port], folder / "puback.log")
    try:
        sink.expect(lambda: "listening" in sink.tail(), 10, "listens")
        for devices in (20, 200, 2000):
            done = subprocess.run([binaries / "sluice-sim", "--vending", str(devices), "--flat-out", "--events",
                                   "200000" if quick else "1000000", "--broker", f"mqtt://127.0.0.1:{port}", "--trust", "puback",
                                   "--payload-bytes", "200", "--window", "1024", "--ledger", folder / "generator.tsv", "--json"],
                                  capture_output=True, text=True, timeout=300)
            (folder / "generator.tsv").unlink(missing_ok=True)
            if done.returncode:
                raise Refused(f"sluice-sim against a server that acknowledges at once: {done.stderr}")
            totals = json.loads(done.stdout)
            out[f"max_eps_{devices}"] = round(totals["puback"] / totals["seconds"])
            out[f"cpu_s_per_100k_{devices}"] = round(totals["cpu_s"] * 100_000 / totals["puback"], 3)
            say(f"generator: {devices} devices: {out[f'max_eps_{devices}']} events/s, "
                f"{out[f'cpu_s_per_100k_{devices}']} s of CPU per 100,000")
    finally:
        sink.stop()
    return out
