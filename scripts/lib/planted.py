"""Plants the faults of tests/planted/faults.toml one after another in a copy of the tree, and wants a test to notice each."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
TABLE = SOURCE / "tests/planted/faults.toml"


class StaleFault(Exception):
    """A fault's text does not stand in its file exactly once any more."""


def faults():
    with open(TABLE, "rb") as table:
        return tomllib.load(table)["fault"]


def planted(fault, text):
    if text.count(fault["old"]) != 1:
        raise StaleFault(f"{fault['name']}: its text stands {text.count(fault['old'])} times in {fault['file']}, wanted once")
    if fault["old"] == fault["new"]:
        raise StaleFault(f"{fault['name']}: changes nothing")
    return text.replace(fault["old"], fault["new"])


class Nursery:
    """A copy of the sources with a build of its own: the tree that is worked in stays as it is."""

    def __init__(self, folder, jobs):
        self.tree, self.jobs = Path(folder) / "tree", jobs
        self.build = self.tree / "build/dev"

    def prepare(self):
        """Only what differs is written: what was built for an earlier run stays built."""
        listed = subprocess.run(["git", "-C", SOURCE, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], check=True,
                                capture_output=True, text=True).stdout
        names = {name for name in listed.split("\0") if name and (SOURCE / name).is_file()}
        for path in [p for p in self.tree.rglob("*") if p.is_file() and self.build.parent not in p.parents]:
            if str(path.relative_to(self.tree)) not in names:
                path.unlink()
        for name in names:
            source, target = SOURCE / name, self.tree / name
            if not target.is_file() or source.read_bytes() != target.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        # A warning that a fault brings is not what has to catch it.
        subprocess.run(["cmake", "--preset", "dev", "-DSLUICE_WERROR=OFF"], cwd=self.tree, check=True, stdout=subprocess.DEVNULL)

    def try_one(self, fault, log):
        """(caught by which test, or None; what went wrong otherwise)."""
        path = self.tree / fault["file"]
        text = path.read_text()
        path.write_text(planted(fault, text))
        try:
            done = subprocess.run(["ninja", "-C", self.build, f"-j{self.jobs}", *fault["tests"]], stdout=log, stderr=log)
            if done.returncode:
                return None, "does not build"
            for test in fault["tests"]:
                done = subprocess.run(["ctest", "--test-dir", self.build, "-R", f"^{test}$", "--no-tests=error"], stdout=log, stderr=log,
                                      env={**os.environ, "CTEST_OUTPUT_ON_FAILURE": "1"})
                if done.returncode:
                    return test, ""
            return None, "no test failed"
        finally:
            path.write_text(text)

    def sound(self, tests, log):
        """Without a fault the tests pass: else they prove nothing."""
        if subprocess.run(["ninja", "-C", self.build, f"-j{self.jobs}", *tests], stdout=log, stderr=log).returncode:
            return "does not build"
        regex = "^(" + "|".join(tests) + ")$"
        done = subprocess.run(["ctest", "--test-dir", self.build, "-R", regex, "--no-tests=error"], stdout=log, stderr=log)
        return "" if done.returncode == 0 else "fail without a fault"
