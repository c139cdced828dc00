// A file line by line, quickly.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::judge {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using OpenFile = std::unique_ptr<std::FILE, CloseFile>;

// Null with a message; errno stays.
inline OpenFile OpenToRead(const std::string& path, std::string& error) {
  OpenFile file(std::fopen(path.c_str(), "rbe"));
  if (!file) error = path + ": " + std::strerror(errno);
  return file;
}

// Calls on_line for each line that ends with a newline. False with a message when the file cannot be read; `torn` tells
// whether something without newline stands at the end. `path` is for the message.
template <typename OnLine>
bool ForEachLine(std::FILE* file, const std::string& path, OnLine&& on_line, bool& torn, std::string& error) {
  std::string buffer(1 << 20, '\0');
  size_t held = 0;
  while (true) {
    if (held == buffer.size()) buffer.resize(buffer.size() * 2);
    const size_t count = std::fread(buffer.data() + held, 1, buffer.size() - held, file);
    if (count == 0) break;
    held += count;
    size_t from = 0;
    const std::string_view text(buffer.data(), held);
    for (size_t end; (end = text.find('\n', from)) != std::string_view::npos; from = end + 1) {
      on_line(text.substr(from, end - from));
    }
    std::memmove(buffer.data(), buffer.data() + from, held - from);
    held -= from;
  }
  const bool failed = std::ferror(file) != 0;
  if (failed) error = path + ": cannot be read";
  torn = held > 0;
  return !failed;
}

template <typename OnLine>
bool ForEachLine(const std::string& path, OnLine&& on_line, bool& torn, std::string& error) {
  const OpenFile file = OpenToRead(path, error);
  return file && ForEachLine(file.get(), path, on_line, torn, error);
}

}  // namespace sluice::judge
