#include "gateway/journal/positions_file.h"

#include "base/status.h"

namespace sluice::journal {
namespace {

constexpr uint64_t kFileBytes = 2 * kBlockBytes;

}  // namespace

absl::StatusOr<Positions> PositionsFile::Read() {
  auto file = files_.Open(path(), FileSystem::Mode::kRead);
  if (!file.ok()) return file.status();
  ASSIGN_OR_RETURN(const std::string blocks, (*file)->ReadAt(0, kFileBytes));
  absl::StatusOr<Positions> newest = absl::DataLossError(StrCat(path(), " holds no positions"));
  for (int block = 0; block < 2; ++block) {
    if (blocks.size() < (block + 1) * kBlockBytes) break;
    auto found = DecodePositions(std::string_view(blocks).substr(block * kBlockBytes, kBlockBytes));
    if (!found.ok() || (newest.ok() && found->sequence < newest->sequence)) continue;
    newest = *std::move(found);
    block_ = 1 - block;
  }
  return newest;
}

absl::Status PositionsFile::Write(const std::string& block, bool flush) {
  if (file_ == nullptr) {
    auto file = files_.Open(path(), FileSystem::Mode::kReadWrite);
    // A shorter file is one that somebody cut: writing into it would take room that may not be there.
    if (!file.ok() || (*file)->Size().value_or(0) != kFileBytes) return Create(block);
    file_ = *std::move(file);
  }
  const absl::StatusOr<size_t> written = file_->WriteAt(block_ * kBlockBytes, block);
  absl::Status status = written.status();
  if (written.ok() && *written < block.size()) status = absl::ResourceExhaustedError(StrCat("short write ", path()));
  if (status.ok() && flush) {
    status = file_->Sync();
    block_ = 1 - block_;
  }
  if (!status.ok()) file_.reset();
  return status;
}

absl::Status PositionsFile::Create(const std::string& block) {
  const std::string temporary = StrCat(path(), ".new");
  files_.Remove(temporary).IgnoreError();
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, files_.Open(temporary, FileSystem::Mode::kCreateNew));
  const std::string content = block + std::string(kFileBytes - block.size(), '\0');
  const absl::StatusOr<size_t> written = file->WriteAt(0, content);
  absl::Status status = written.status();
  if (written.ok() && *written < content.size()) status = absl::ResourceExhaustedError(StrCat("short write ", temporary));
  if (status.ok()) status = file->Sync();
  if (status.ok()) status = files_.Rename(temporary, path());
  if (status.ok()) status = files_.SyncFolder(folder_);
  if (!status.ok()) {
    files_.Remove(temporary).IgnoreError();
    return status;
  }
  file_ = std::move(file);
  block_ = 1;
  return absl::OkStatus();
}

}  // namespace sluice::journal
