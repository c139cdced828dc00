"""The bench builds what it measures, measures one build, and says which."""

import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import builds  # noqa: E402
from measure import Refused  # noqa: E402


class BuildsTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="bench-builds-")
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name)

    def built(self, preset, names, cache="CMAKE_BUILD_TYPE:STRING=Release\nSLUICE_FAIL_POINTS:BOOL=OFF\n"):
        place = self.root / "build" / preset / "bin"
        place.mkdir(parents=True)
        for name in names:
            (place / name).touch()
        if cache:
            (place.parent / "CMakeCache.txt").write_text(cache)
        return place

    def tool(self, name, text):
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def test_a_fresh_clone_is_configured_and_built(self):
        self.tool("scripts/setup", "echo setup >>log")
        for name in ("cmake", "ninja"):
            self.tool(f"path/{name}", f"echo {name} $* >>log")
        (self.root / "build/dev").mkdir(parents=True)
        (self.root / "build/dev/build.ninja").touch()   # scripts/run was there before
        before = os.getcwd()
        os.chdir(self.root)
        self.addCleanup(os.chdir, before)
        with mock.patch.dict(os.environ, PATH=f"{self.root}/path:{os.environ['PATH']}"):
            builds.build(self.root)
        self.assertEqual((self.root / "log").read_text().splitlines(), [
            "setup", "cmake --preset release", f"ninja -C {self.root}/build/release {' '.join(builds.PRODUCT)}",
            f"ninja -C {self.root}/build/dev sluice-judge sluice-tcp-proxy sluice-bench-sink sluice-bench-puback sluice-bench-nats "
            "sluice-slow-sync"])

    def test_a_build_that_fails_is_no_old_figure(self):
        self.tool("scripts/setup", "true")
        self.tool("path/cmake", "exit 1")
        with mock.patch.dict(os.environ, PATH=f"{self.root}/path:{os.environ['PATH']}"), self.assertRaisesRegex(Refused, "release"):
            builds.build(self.root)

    def test_the_product_is_of_one_build(self):
        half = self.built("release", builds.PRODUCT[:2])
        dev = self.built("dev", builds.PRODUCT + builds.TOOLS)
        found, place = builds.gather([half, dev], self.root)
        self.assertEqual(place, dev)
        self.assertEqual({(found / name).resolve().parent for name in builds.PRODUCT}, {dev.resolve()})

    def test_tools_come_from_where_they_are(self):
        release, dev = self.built("release", builds.PRODUCT), self.built("dev", builds.PRODUCT + builds.TOOLS)
        found, place = builds.gather([release, dev], self.root)
        self.assertEqual(place, release)
        self.assertEqual((found / "sluice-judge").resolve().parent, dev.resolve())

    def test_what_is_missing_is_named(self):
        with self.assertRaisesRegex(Refused, "sluice-sim not built in"):
            builds.gather([self.built("release", builds.PRODUCT[:3])], self.root)

    def test_the_build_is_told(self):
        build = builds.describe(self.built("release", []))
        self.assertEqual((build["preset"], build["type"], build["fail_points"]), ("release", "Release", False))
        self.assertEqual(builds.told(build), "preset release (Release, without fail points)")
        dev = self.built("dev", [], "CMAKE_BUILD_TYPE:STRING=RelWithDebInfo\nSLUICE_FAIL_POINTS:BOOL=ON\n")
        self.assertEqual(builds.told(builds.describe(dev)), "preset dev (RelWithDebInfo, with fail points)")
        self.assertIn("unknown", builds.told(builds.describe(self.built("elsewhere", [], cache=""))))


if __name__ == "__main__":
    unittest.main()
