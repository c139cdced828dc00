"""The table of planted faults still fits the tree: each text stands where it says, once, and each test it names is one."""

import os
import re
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
SOURCE = Path(os.environ.get("SLUICE_SOURCE", Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(SOURCE / "scripts/lib"))
from planted import StaleFault, faults, planted  # noqa: E402


def tests():
    names = set()
    for path in [*SOURCE.glob("tests/**/CMakeLists.txt")]:
        names |= set(re.findall(r"sluice_(?:script_)?test\((\w+)", path.read_text()))
    return names


class Table(unittest.TestCase):
    def test_every_fault_can_be_planted(self):
        known = tests()
        for fault in faults():
            with self.subTest(fault=fault["name"]):
                text = (SOURCE / fault["file"]).read_text()
                self.assertNotEqual(planted(fault, text), text)
                self.assertTrue(fault["rule"])
                self.assertTrue(fault["tests"])
                self.assertFalse(set(fault["tests"]) - known, "no test of that name")

    def test_there_are_enough_of_them_and_each_once(self):
        names = [fault["name"] for fault in faults()]
        self.assertGreaterEqual(len(names), 25)
        self.assertEqual(len(names), len(set(names)))

    def test_a_stale_text_is_told(self):
        fault = {"name": "x", "file": "y", "old": "a", "new": "b"}
        for text in ("", "aa"):
            with self.assertRaises(StaleFault):
                planted(fault, text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
