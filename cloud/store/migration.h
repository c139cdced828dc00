// The schema of a store: numbered files, applied once each, never changed after they were released.
#pragma once

#include <string>
#include <vector>

namespace sluice::store {

struct Migration {
  int number = 0;            // 1, 2, 3 … within the component
  const char* name = "";
  const char* sql = "";      // one or more statements
};

// The part of the schema that one folder owns; several share a database. Lists are made by sluice_embed_sql.
struct Component {
  std::string name;          // bus, ingest, shop, …
  std::vector<Migration> migrations;
};

}  // namespace sluice::store
