"""Which programs are measured: built first, the product as it is shipped, and what the figures say of them."""

import re
import subprocess
import sys

from load import say
from measure import Refused

PRODUCT = ("sluiced", "sluicectl", "sluice-cloud", "sluice-sim")
TOOLS = ("sluice-judge", "sluice-tcp-proxy", "sluice-bench-sink", "sluice-bench-puback", "sluice-bench-nats",
         "libsluice-slow-sync.so")


def build(source):
    """The product with preset release, the tools, which that one leaves out, with dev. Quick when nothing has changed."""
    subprocess.run([source / "scripts/setup"], check=True, stdout=sys.stderr)
    for preset, files in (("release", PRODUCT), ("dev", TOOLS)):
        say(f"builds {', '.join(files)} (preset {preset})")
        targets = [re.sub(r"^lib(.*)\.so$", r"\1", name) for name in files]
        folder = source / "build" / preset
        configure = [] if (folder / "build.ninja").exists() else [["cmake", "--preset", preset]]
        for command in configure + [["ninja", "-C", folder, *targets]]:
            if subprocess.run(command, cwd=source, stdout=sys.stderr).returncode:
                raise Refused(f"{' '.join(map(str, command))} failed; --no-build measures what there is")


def gather(places, folder):
    """A folder below `folder` with links to all programs, and the place of the product's: all of one build. The tools may come
    from another place: they are not what is measured."""
    lacks = {}
    for place in places:
        lacks[place] = [name for name in PRODUCT if not (place / name).exists()]
        if not lacks[place]:
            break
    else:
        raise Refused("; ".join(f"{', '.join(names)} not built in {place}" for place, names in lacks.items()))
    found = folder / "bin"
    found.mkdir()
    for name in PRODUCT:
        (found / name).symlink_to((place / name).resolve())
    for name in TOOLS:
        there = next((p for p in places if (p / name).exists()), None)
        if there is None:
            raise Refused(f"{name} is not built: run without --no-build, or ninja -C build/dev")
        (found / name).symlink_to((there / name).resolve())
    return found, place


def describe(place):
    """What CMake's cache beside a folder of programs says of them: a figure of a build with fail points or symbols is not one of
    what is shipped."""
    cache = place.resolve().parent / "CMakeCache.txt"
    if not cache.exists():
        return dict(preset="unknown", folder=str(place))
    variables = dict(re.findall(r"^(\w+):\w+=(.*)$", cache.read_text(encoding="utf-8"), re.M))
    return dict(preset=cache.parent.name, folder=str(place), type=variables.get("CMAKE_BUILD_TYPE", ""),
                fail_points=variables.get("SLUICE_FAIL_POINTS", "OFF") in ("ON", "1", "TRUE"),
                sanitizers=variables.get("SLUICE_SANITIZE", ""))


def told(build):
    if build["preset"] == "unknown":
        return f"programs of an unknown build in {build['folder']}"
    return (f"preset {build['preset']} ({build['type']}, {'with' if build['fail_points'] else 'without'} fail points"
            + (f", sanitizers {build['sanitizers']}" if build["sanitizers"] else "") + ")")
