// The name under which a port is found again after it was unplugged.
#pragma once

#include <string>

namespace sluice::transport {

// `path` if it is a link already. For a plain tty: the link below identity_root/by-id, else by-path, that leads to it now; else
// `path`. Reads the folders; call while the port is there.
std::string StableName(const std::string& path, const std::string& identity_root);

// The innermost folder on the way to `path` that exists: what to watch for its coming.
std::string ExistingFolder(const std::string& path);

}  // namespace sluice::transport
