"""What scripts/campaign can run: for each name the tests it is made of, what their sizes and seeds are called, and how what they
print is counted."""

import ast
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
INTEGRATION = "tests/integration"


@dataclass
class Part:
    """One test. `count` is the variable that holds how much it does, `seed` the one that makes it do the same again."""
    test: str                        # a program of build/dev/tests, or a script below tests/integration
    count: str
    at_once: int                     # a chunk: what an interruption loses
    seed: str = "SLUICE_SEED"
    arguments: tuple = ()
    runs: str = ""                   # regular expression for how much was done; otherwise what was asked for
    first_seed: bool = False         # seeds are counted up, one a run
    times: int = 1                   # runs a repetition makes, for tests without a size

    def command(self, binaries):
        if self.test.endswith(".py"):
            return ["python3", str(SOURCE / INTEGRATION / self.test), *self.arguments]
        return [str(binaries.parent / "tests" / self.test), *self.arguments]


@dataclass
class Campaign:
    parts: list
    unit: str
    default: int


CAMPAIGNS = {
    "power-cut": Campaign([
        Part("journal_power_cut_test", "SLUICE_POWER_CUTS", 20_000, runs=r"(\d+) images of"),
        Part("native_listener_power_cut_test", "SLUICE_POWER_CUTS", 2_000, runs=r"(\d+) images of"),
        Part("outbox_power_cut_test", "SLUICE_POWER_CUTS", 2_000, runs=r"(\d+) images of"),
        Part("cloud_power_cut_test", "SLUICE_POWER_CUTS", 2_000, runs=r"(\d+) images of"),
    ], "disk images", 40_000),
    "io-faults": Campaign([
        Part("journal_fault_test", "", 1),
        Part("outbox_nth_call_test", "SLUICE_ROUNDS", 4),
    ], "workloads, each with its n-th call failing for every n", 8),
    "corruption": Campaign([
        Part("damage_test.py", "SLUICE_DAMAGES", 50, arguments=("Damage.test_pairs_at_random",)),
        Part("damage_test.py", "SLUICE_DAMAGES", 50, arguments=("Damage.test_on_a_full_disk",)),
    ], "damaged state folders", 200),
    "kill": Campaign([
        Part("kill_gateway_test.py", "SLUICE_KILLS", 100),
        Part("kill_listener_test.py", "SLUICE_KILLS", 100),
    ], "kills", 300),
    "disk-full": Campaign([Part("disk_full_test.py", "SLUICE_DISK_CYCLES", 50)], "cycles, every other one of the cloud's disk", 50),
    "network": Campaign([Part("network_test.py", "SLUICE_NETWORK_FAULTS", 100)], "faults", 200),
    "clock": Campaign([Part("clock_test.py", "SLUICE_CLOCK_JUMPS", 100)], "jumps", 200),
    "restore": Campaign([Part("clone_restore_test.py", "", 1, times=5)], "restored, copied or moved boxes and clouds", 25),
    "storm": Campaign([Part("storm_test.py", "SLUICE_STORM_S", 60)], "seconds of kills of daemon, broker and cloud", 300),
    "backlog": Campaign([Part("backlog_test.py", "SLUICE_BACKLOG", 10_000_000)], "events", 1_000_000),
    "simulation": Campaign([Part("sync_simulation_test", "SLUICE_SEEDS", 5_000, seed="SLUICE_FIRST_SEED", first_seed=True,
                                 runs=r"; (\d+) seeds")], "seeds", 100_000),
    "outbox-model": Campaign([Part("outbox_model_test", "SLUICE_ACTIONS", 50_000, runs=r"(\d+) actions")], "actions", 1_000_000),
}


@dataclass
class Verdict:
    """What runs of a campaign add up to; `faults` names seeds that failed."""
    runs: int = 0
    missing: int = 0
    duplicates: int = 0
    order_breaks: int = 0
    unexplained_gaps: int = 0
    failed: list = field(default_factory=list)

    def add_output(self, text):
        """The judge's verdicts that a test printed. Of a damaged box what is missing has to be declared; what is not is
        `unexplained`."""
        for line in re.findall(r"\{'devices'.*\}|\{\"devices\".*\}", text):
            verdict = json.loads(line) if line.startswith('{"') else ast.literal_eval(line)
            self.unexplained_gaps += verdict.get("unexplained", 0)
            self.missing += verdict["missing"]
            self.duplicates += verdict["duplicates"]
            self.order_breaks += verdict["order_breaks"]

    def good(self):
        return not (self.failed or self.missing or self.duplicates or self.order_breaks or self.unexplained_gaps)
