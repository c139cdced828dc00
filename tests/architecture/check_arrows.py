#!/usr/bin/env python3
"""Fails when the tree breaks its own rules: include arrows, heavy headers, header comments, file sizes.

usage: check_arrows.py [ROOT]      the rules are in arrows.toml beside this file
"""
import re
import sys
import tomllib
from pathlib import Path

TOPS = ("base", "cloud", "devices", "gateway", "proto", "sync", "tests")
OURS = (*TOPS, "sluice")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
USING = re.compile(r"^\s*using\s+namespace\b")


def matches(pattern, path):
    """Does the header `path` (or folder/x for a folder) fall under the pattern of arrows.toml?"""
    folder = path.rpartition("/")[0]
    if pattern == "**":
        return True
    if pattern.endswith("/**"):
        return path.startswith(pattern[:-2])
    if pattern.endswith("/*"):
        return folder.rpartition("/")[0] == pattern[:-2] and folder != ""
    return pattern in (path, folder)


def rule_of(name, arrows):
    """The key that governs a file: its name, else its folder, else the longest pattern for the folder."""
    folder = name.rpartition("/")[0]
    for key in (name, folder):
        if key in arrows:
            return key
    patterns = [key for key in arrows if key.endswith("*") and matches(key, folder + "/x")]
    return max(patterns, key=len, default=None)


def sources(root):
    for top in TOPS:
        for path in sorted((root / top).rglob("*")):
            if path.suffix in (".h", ".cc") and path.is_file():
                yield path


def check_file(path, name, rules):
    """Yields (line, fault)."""
    folder = name.rpartition("/")[0]
    header = name.endswith(".h")
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    key = rule_of(name, rules["arrows"])
    if key is None:
        yield 1, f"folder {folder} has no line in tests/architecture/arrows.toml"
    if header and not text.startswith("//"):
        yield 1, "a header begins with a comment that says what it is for"
    limit = rules["size"]["lines"]
    if len(lines) > limit and name not in rules["size"]["exceptions"]:
        yield limit, f"{len(lines)} lines; at most {limit}: split it, or name the reason in arrows.toml"
    for number, line in enumerate(lines, 1):
        if header and USING.match(line):
            yield number, "no `using namespace` in a header"
        found = INCLUDE.match(line)
        if not found:
            continue
        target = found.group(1)
        if header and name not in rules["heavy"]["exceptions"] and target not in rules["heavy"]["light"]:
            for prefix in rules["heavy"]["prefixes"]:
                if target.startswith(prefix):
                    yield number, f"{target} is heavy: include it in .cc files only"
        if "/" in target and target.split("/")[0] in OURS:
            target_folder = target.rpartition("/")[0]
            if ".." in target.split("/"):
                yield number, f"{target}: include paths begin at the root"
            elif target_folder != folder and key is not None:
                if not any(matches(pattern, target) for pattern in rules["arrows"][key]):
                    yield number, f"{folder} must not include {target}"
            continue
        if (path.parent / target).is_file() or target.startswith("."):
            yield number, f"{target}: include paths begin at the root"
        for prefix, folders in rules["libraries"].items():
            if target.startswith(prefix) and not any(matches(pattern, folder + "/x") for pattern in folders):
                yield number, f"{folder} must not include {target}"


def check(root, rules):
    """All faults as lines of text, and how many files were looked at."""
    faults, count = [], 0
    for path in sources(root):
        name = path.relative_to(root).as_posix()
        count += 1
        faults += [f"{name}:{line}: {fault}" for line, fault in check_file(path, name, rules)]
    for table in ("heavy", "size"):
        faults += [f"arrows.toml: [{table}.exceptions] {name}: give a reason"
                   for name, reason in rules[table]["exceptions"].items() if not str(reason).strip()]
    return faults, count


def load_rules():
    with open(Path(__file__).with_name("arrows.toml"), "rb") as file:
        return tomllib.load(file)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    faults, count = check(root, load_rules())
    print("\n".join(faults))
    print(f"{count} files, {len(faults)} faults")
    return 1 if faults or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
