"""Each phase gives the figures that are promised of it."""

import sys
import types
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
SOURCE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "scripts/lib"), str(SOURCE / "tests/bench")]
from load import Result  # noqa: E402
from phases import ListenerPhases  # noqa: E402


class Side:
    """Notes how it is run; each run has the same figures."""
    name = "listener"

    def __init__(self):
        self.runs = {}

    def run(self, name, load, **how):
        self.runs[name] = (load, how)
        return Result(events=load["events"], eps=20_000.0, puback_eps=19_000.0, rss_mib=30.0, cpu_s_per_100k=2.0,
                      bytes_per_event=300.0, latency={"p50": 1.0, "p99": 2.0}, puback={"p50": 3.0, "p99": 4.0})


class PhasesTest(unittest.TestCase):
    def test_slow_flushes_are_measured_at_every_rate(self):
        side, out = Side(), {}
        ListenerPhases(side, types.SimpleNamespace(quick=True, backlog=None), out).phase_slow()
        self.assertEqual({how.get("flush_ms") for _, how in side.runs.values()}, {10})
        for name in ("puback_p99_ms_100_slow", "puback_p99_ms_1000_slow", "p99_ms_1000_slow", "bytes_per_event_1000_slow",
                     "cpu_s_per_100k_1000_slow", "rss_mib_1000_slow", "max_eps_20_slow", "max_puback_eps_20_slow"):
            self.assertIn(name, out)
        flat, _ = side.runs["max_eps_20_slow"]
        self.assertTrue(flat["flat_out"])
        self.assertEqual(flat["vending"], 20)


if __name__ == "__main__":
    unittest.main()
