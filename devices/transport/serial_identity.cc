#include "devices/transport/serial_identity.h"

#include <filesystem>
#include <system_error>

namespace sluice::transport {

namespace fs = std::filesystem;

std::string StableName(const std::string& path, const std::string& identity_root) {
  std::error_code error;
  if (fs::is_symlink(path, error)) return path;
  const fs::path device = fs::canonical(path, error);
  if (error) return path;
  for (const char* kind : {"by-id", "by-path"}) {
    for (fs::directory_iterator it(fs::path(identity_root) / kind, error), end; !error && it != end; it.increment(error)) {
      std::error_code ignored;
      if (fs::canonical(it->path(), ignored) == device && !ignored) return it->path().string();
    }
    error.clear();
  }
  return path;
}

std::string ExistingFolder(const std::string& path) {
  std::error_code error;
  fs::path folder = fs::path(path).parent_path();
  while (!folder.empty() && folder != folder.root_path() && !fs::is_directory(folder, error)) folder = folder.parent_path();
  return folder.empty() ? "." : folder.string();
}

}  // namespace sluice::transport
