"""The bench's own arithmetic: a wrong figure is worse than none."""

import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import (Follower, Refused, arrivals, cpu_seconds, end_unwaited, file_system, first_sends, latencies,  # noqa: E402
                     percentile, refuse_memory_file_system, written_bytes)


class MeasureTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="bench-test-")
        self.path = Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def test_the_first_sending_counts_and_a_torn_line_does_not(self):
        ledger = self.path / "ledger.tsv"
        ledger.write_text("D\tvm-1\tmqtt\tvending\nS\tvm-1\t7\t1\tsale\t1000\t250\nS\tvm-1\t7\t1\tsale\t9000\t0\n"
                          "P\tvm-1\t7\t1\nS\tvm-1\t7\t2\ttelemetry\t2000\t5\t-\nS\tvm-1\t7\t3\tsa")
        self.assertEqual(first_sends(ledger), {("vm-1", 1): (1.00025, "sale"), ("vm-1", 2): (2.000005, "telemetry")})

    def test_latency_is_from_sending_to_the_first_event_on_the_bus(self):
        follower = Follower([])
        follower.stop()
        line = b'{"eventId":"x","data":{"seq":99,"origin":{"gatewayId":"g","deviceId":"vm-1","boot":7,"seq":%d,"kind":"sale"}}}\n'
        first = line % 1 + line % 2
        follower.chunks = [("f", 1.010, first[:-30]), ("f", 1.020, first[-30:]), ("f", 5.0, line % 1)]
        arrived = arrivals(follower)
        self.assertEqual(arrived, {("vm-1", 1): 1.010, ("vm-1", 2): 1.020})
        sends = {("vm-1", 1): (1.0, "sale"), ("vm-1", 2): (1.005, "telemetry"), ("vm-1", 3): (1.0, "sale")}
        everything, critical, bulk = latencies(sends, arrived)
        self.assertEqual([round(ms) for ms in everything], [10, 15])
        self.assertEqual((len(critical), len(bulk)), (1, 1))

    def test_percentiles(self):
        values = list(range(1, 101))
        self.assertEqual((percentile(values, 0.5), percentile(values, 0.99), percentile([], 0.5)), (51, 100, None))

    def test_a_follower_sees_files_that_come_later(self):
        path = self.path / "late.jsonl"
        follower = Follower([path], keep=True, interval=0.001)
        path.write_bytes(b"one\ntwo\n")
        follower.wait_still(0.05, 10)
        follower.stop()
        self.assertEqual((follower.lines, b"".join(c for _, _, c in follower.chunks)), (2, b"one\ntwo\n"))

    def test_an_ended_process_still_tells_what_it_used(self):
        code = (f"import os,signal,sys\nf=open({str(self.path / 'x')!r},'wb')\nf.write(b'x'*4000000)\nf.flush();os.fsync(f)\n"
                "for i in range(3000000): pass\nsignal.pause()")
        with subprocess.Popen([sys.executable, "-c", code]) as popen:
            process = type("P", (), {"popen": popen, "pid": popen.pid, "name": "writer"})()
            deadline = time.monotonic() + 20
            while written_bytes(popen.pid) < 4_000_000 and time.monotonic() < deadline:
                time.sleep(0.01)
            end_unwaited(process)
            if file_system(self.path) not in ("tmpfs", "ramfs", "overlay"):
                self.assertGreaterEqual(written_bytes(popen.pid), 4_000_000)
            self.assertGreaterEqual(cpu_seconds(popen.pid), 0.0)

    def test_memory_file_systems_are_refused(self):
        if not Path("/dev/shm").is_dir() or file_system("/dev/shm") != "tmpfs":
            self.skipTest("no tmpfs here")
        with self.assertRaises(Refused):
            refuse_memory_file_system("/dev/shm")


if __name__ == "__main__":
    unittest.main()
