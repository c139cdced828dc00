// journal.positions, or its copy: two blocks beside the segments that say how far the running epoch has come (FORMAT.md).
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"
#include "gateway/journal/format.h"

namespace sluice::journal {

// For one thread at a time.
class PositionsFile {
 public:
  PositionsFile(FileSystem& files, const std::string& folder, const std::string& name)
      : files_(files), folder_(folder), name_(name) {}

  // What the file says; of two good blocks the newer. NotFound: there is no file. DataLoss: it holds nothing good.
  absl::StatusOr<Positions> Read();
  // With `flush` it is on the medium when the call returns OK. A block that was flushed stays as it is until the next one
  // was. Makes the file where there is none. After an error the next call begins with a new handle.
  absl::Status Write(const std::string& block, bool flush);
  const std::string& name() const { return name_; }

 private:
  std::string path() const { return folder_ + "/" + name_; }
  absl::Status Create(const std::string& block);

  FileSystem& files_;
  const std::string folder_, name_;
  std::unique_ptr<File> file_;
  int block_ = 0;  // where the next one goes
};

}  // namespace sluice::journal
