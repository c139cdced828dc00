#!/usr/bin/env python3
"""Plants each kind of fault in a temporary tree and sees it caught; and what is allowed, passed."""
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import check_arrows  # noqa: E402

COMMENT = "// What it is.\n"


class CheckArrowsTest(unittest.TestCase):
    def faults(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            found, count = check_arrows.check(root, check_arrows.load_rules())
            self.assertEqual(count, len(files))
            return found

    def one(self, name, text):
        return self.faults(**{name: text})

    def assert_caught(self, name, text, line, words):
        found = self.one(name, text)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"{name}:{line}: "), found)
        self.assertIn(words, found[0])

    def test_base_knows_nothing_of_ours(self):
        self.assert_caught("base/a.cc", '#include "base/a.h"\n#include "sync/sender.h"\n', 2, "must not include")

    def test_a_family_knows_no_other_family(self):
        self.assert_caught("devices/lines/a.cc", '#include "devices/native/decode.h"\n', 1, "must not include")

    def test_a_family_may_use_transport_and_the_shared_headers(self):
        self.assertEqual(self.one("devices/lines/a.cc", '#include "devices/driver.h"\n#include "devices/transport/x.h"\n'
                                  '#include "sluice/event/v1/event.pb.h"\n#include "base/item.h"\n'), [])

    def test_only_the_list_of_drivers_knows_families(self):
        self.assertEqual(self.one("devices/all_drivers.cc", '#include "devices/native/driver.h"\n'), [])
        self.assert_caught("devices/driver.cc", '#include "devices/native/driver.h"\n', 1, "must not include")

    def test_the_simulator_shares_nothing_with_drivers(self):
        self.assert_caught("devices/sim/a.cc", '#include "devices/json_event.h"\n', 1, "must not include")

    def test_only_the_named_header_of_a_folder_is_open(self):
        self.assertEqual(self.one("gateway/outbox/a.cc", '#include "sync/outbox.h"\n'), [])
        self.assert_caught("gateway/outbox/a.cc", '#include "sync/sender.h"\n', 1, "must not include")

    def test_sync_knows_no_gateway(self):
        self.assert_caught("sync/a.cc", '#include "gateway/outbox/outbox.h"\n', 1, "must not include")

    def test_a_service_knows_neither_another_nor_the_edge(self):
        self.assert_caught("cloud/shop/a.cc", '#include "cloud/inventory/a.h"\n', 1, "must not include")
        self.assert_caught("cloud/shop/a.cc", '#include "sync/outbox.h"\n', 1, "must not include")

    def test_the_daemon_knows_the_edge_but_not_the_cloud(self):
        self.assertEqual(self.one("gateway/daemon/a.cc", '#include "devices/native/driver.h"\n#include "sync/uplink.h"\n'
                                  '#include "gateway/intake/intake.h"\n'), [])
        self.assert_caught("gateway/daemon/a.cc", '#include "cloud/store/store.h"\n', 1, "must not include")

    def test_tests_may_include_all(self):
        self.assertEqual(self.one("tests/sync/a.cc", '#include "cloud/ingest/plan.h"\n#include <sqlite3.h>\n'), [])

    def test_libraries_have_their_folders(self):
        self.assert_caught("gateway/outbox/a.cc", "#include <grpcpp/grpcpp.h>\n", 1, "must not include")
        self.assert_caught("sync/a.cc", "#include <sqlite3.h>\n", 1, "must not include")
        self.assertEqual(self.one("sync/a.cc", "#include <grpcpp/grpcpp.h>\n"), [])

    def test_grpc_is_one_library_under_each_of_its_names(self):
        for header in ("grpcpp/grpcpp.h", "grpc++/grpc++.h", "grpc/grpc_security.h"):
            with self.subTest(header):
                self.assert_caught("devices/transport/a.cc", f"#include <{header}>\n", 1, "must not include")
                self.assert_caught("sync/a.h", COMMENT + f"#include <{header}>\n", 2, "heavy")
                self.assertEqual(self.one("sync/a.cc", f"#include <{header}>\n"), [])

    def test_heavy_headers_stay_out_of_headers(self):
        self.assert_caught("sync/a.h", COMMENT + "#include <grpcpp/grpcpp.h>\n", 2, "heavy")
        self.assert_caught("devices/a.h", COMMENT + '#include "nlohmann/json.hpp"\n', 2, "heavy")
        self.assertEqual(self.one("devices/a.h", COMMENT + "#include <nlohmann/json_fwd.hpp>\n"), [])

    def test_headers_begin_with_a_comment_and_open_no_namespace(self):
        self.assert_caught("base/a.h", "#pragma once\n", 1, "comment")
        self.assert_caught("base/a.h", COMMENT + "using namespace std;\n", 2, "using namespace")

    def test_include_paths_begin_at_the_root(self):
        self.assert_caught("base/a.cc", '#include "../sync/sender.h"\n', 1, "root")
        self.assert_caught("base/a.cc", '#include "base/../sync/sender.h"\n', 1, "root")
        found = self.faults(**{"base/a.cc": '#include "a.h"\n', "base/a.h": COMMENT})
        self.assertEqual(len(found), 1, found)
        self.assertIn("root", found[0])

    def test_files_end_somewhere(self):
        self.assert_caught("base/a.cc", "\n" * 451, 450, "451 lines")
        self.assertEqual(self.one("base/a.cc", "\n" * 450), [])

    def test_a_new_folder_needs_a_line_in_the_table(self):
        self.assert_caught("gateway/newcomer/a.cc", "int a;\n", 1, "arrows.toml")

    def test_an_empty_tree_is_no_success(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(check_arrows.check(Path(folder), check_arrows.load_rules())[1], 0)


if __name__ == "__main__":
    unittest.main()
