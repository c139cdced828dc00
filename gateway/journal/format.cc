#include "gateway/journal/format.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/crc32c.h"
#include "base/strings.h"

namespace sluice::journal {
namespace {

constexpr std::string_view kMagic = "SLUICEJ\n";
constexpr size_t kPositionBytes = 16 + 1 + 8 + 8;

template <typename T>
void Put(T value, char* at) {
  for (size_t i = 0; i < sizeof(T); ++i)
    at[i] = static_cast<char>(static_cast<std::make_unsigned_t<T>>(value) >> (8 * i));
}

template <typename T>
T Get(const char* at) {
  std::make_unsigned_t<T> value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<std::make_unsigned_t<T>>(static_cast<std::make_unsigned_t<T>>(static_cast<uint8_t>(at[i]))
                                                  << (8 * i));
  }
  return static_cast<T>(value);
}

template <typename T>
void Append(T value, std::string* out) {
  char raw[sizeof(T)];
  Put(value, raw);
  out->append(raw, sizeof raw);
}

// Reads forward; once it has run out everything is zero and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view data) : data_(data) {}
  bool ok() const { return ok_; }
  size_t left() const { return data_.size(); }
  std::string_view Bytes(size_t size) {
    if (size > data_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view out = data_.substr(0, size);
    data_.remove_prefix(size);
    return out;
  }
  template <typename T>
  T Number() {
    const std::string_view raw = Bytes(sizeof(T));
    return ok_ ? Get<T>(raw.data()) : T{};
  }
  EpochId Id() {
    const std::string_view raw = Bytes(16);
    return ok_ ? *Id128::FromBytes(raw) : EpochId{};
  }

 private:
  std::string_view data_;
  bool ok_ = true;
};

}  // namespace

void EncodeRecord(RecordHeader header, std::string_view bytes, std::string* out) {
  const size_t begin = out->size();
  out->resize(begin + kHeaderBytes);
  char* at = out->data() + begin;
  Put(static_cast<uint32_t>(bytes.size()), at + 4);
  Put(header.segment, at + 8);
  std::memcpy(at + 16, header.epoch.bytes.data(), 16);
  at[32] = static_cast<char>(header.queue);
  at[33] = static_cast<char>(header.type);
  at[34] = static_cast<char>(header.flags);
  Put(header.skipped, at + 35);
  Put(header.number, at + 37);
  std::memcpy(at + 45, header.id.bytes.data(), 16);
  Put(header.accepted_ms, at + 61);
  out->append(bytes);
  at = out->data() + begin;
  Put(Crc32c({at + 4, kHeaderBytes - 4 + bytes.size()}), at);
}

RecordHeader DecodeHeader(std::string_view data) {
  const char* at = data.data();
  RecordHeader header;
  header.crc = Get<uint32_t>(at);
  header.length = Get<uint32_t>(at + 4);
  header.segment = Get<uint64_t>(at + 8);
  header.epoch = *Id128::FromBytes(data.substr(16, 16));
  header.queue = static_cast<uint8_t>(at[32]);
  header.type = static_cast<RecordType>(at[33]);
  header.flags = static_cast<uint8_t>(at[34]);
  header.skipped = Get<uint16_t>(at + 35);
  header.number = Get<uint64_t>(at + 37);
  header.id = *Id128::FromBytes(data.substr(45, 16));
  header.accepted_ms = Get<int64_t>(at + 61);
  return header;
}

bool CrcMatches(std::string_view frame) { return Crc32c(frame.substr(4)) == Get<uint32_t>(frame.data()); }

namespace {

constexpr size_t kBodyRoom = kBlockBytes - kHeaderBytes;

void AppendText(const std::string& text, std::string* out) {
  Append(static_cast<uint16_t>(text.size()), out);
  *out += text;
}

// Behind an epoch of the list: its ordinal, and its names where they are not the head's.
std::string EpochBytes(const Epoch& epoch, const Epoch& head) {
  std::string out(epoch.id.View());
  Append(epoch.ordinal, &out);
  const bool same = epoch.gateway == head.gateway && epoch.shop == head.shop;
  Append(static_cast<uint8_t>(same ? 1 : 0), &out);
  if (!same) {
    AppendText(epoch.gateway, &out);
    AppendText(epoch.shop, &out);
  }
  return out;
}

// Positions and the epochs they speak of, as many as `room` holds; an epoch goes in with its first position.
std::string HeadBody(const SegmentHead& head, size_t room) {
  std::string body(kMagic);
  Append(kFormatVersion, &body);
  Append(head.epoch.ordinal, &body);
  AppendText(head.epoch.gateway, &body);
  AppendText(head.epoch.shop, &body);
  std::string positions, epochs;
  std::vector<EpochId> listed{head.epoch.id};
  uint16_t count = 0, epoch_count = 0;
  for (const auto& position : head.positions) {
    std::string epoch;
    if (std::find(listed.begin(), listed.end(), position.epoch) == listed.end()) {
      const auto known = std::find_if(head.others.begin(), head.others.end(),
                                      [&](const Epoch& other) { return other.id == position.epoch; });
      if (known != head.others.end()) epoch = EpochBytes(*known, head.epoch);
    }
    if (body.size() + positions.size() + epochs.size() + epoch.size() + kPositionBytes + 4 > room) break;
    positions += position.epoch.View();
    Append(static_cast<uint8_t>(position.queue), &positions);
    Append(position.next, &positions);
    Append(position.acked_to, &positions);
    ++count;
    if (epoch.empty()) continue;
    listed.push_back(position.epoch);
    epochs += epoch;
    ++epoch_count;
  }
  Append(count, &body);
  body += positions;
  Append(epoch_count, &body);
  return body + epochs;
}

SegmentHead ReadHeadBody(const RecordHeader& header, Reader& reader) {
  SegmentHead head;
  head.segment = header.segment;
  head.epoch.id = header.epoch;
  head.epoch.ordinal = reader.Number<uint64_t>();
  for (std::string* text : {&head.epoch.gateway, &head.epoch.shop}) *text = reader.Bytes(reader.Number<uint16_t>());
  const auto count = reader.Number<uint16_t>();
  for (uint16_t i = 0; i < count && reader.ok(); ++i) {
    SegmentHead::Position position;
    position.epoch = reader.Id();
    const auto queue = QueueFromNumber(reader.Number<uint8_t>());
    position.next = reader.Number<uint64_t>();
    position.acked_to = reader.Number<uint64_t>();
    if (!queue) continue;
    position.queue = *queue;
    head.positions.push_back(position);
  }
  // Heads of the first releases end here.
  if (!reader.ok() || reader.left() == 0) return head;
  const auto epochs = reader.Number<uint16_t>();
  for (uint16_t i = 0; i < epochs && reader.ok(); ++i) {
    Epoch epoch = head.epoch;
    epoch.id = reader.Id();
    epoch.ordinal = reader.Number<uint64_t>();
    if (reader.Number<uint8_t>() == 0) {
      for (std::string* text : {&epoch.gateway, &epoch.shop}) *text = reader.Bytes(reader.Number<uint16_t>());
    }
    head.others.push_back(std::move(epoch));
  }
  return head;
}

std::string Block(RecordHeader header, std::string_view body) {
  std::string block;
  EncodeRecord(header, body, &block);
  block.resize(kBlockBytes, '\0');
  return block;
}

// The body of a block that begins with a whole record of this type, behind magic and version.
absl::StatusOr<Reader> OpenBlock(std::string_view block, RecordType type, RecordHeader* header) {
  if (block.size() < kHeaderBytes + kMagic.size()) return absl::NotFoundError("no segment head");
  *header = DecodeHeader(block);
  if (header->type != type || header->length > kBodyRoom || header->length + kHeaderBytes > block.size() ||
      !CrcMatches(block.substr(0, kHeaderBytes + header->length)) || header->segment == 0) {
    return absl::NotFoundError("no segment head");
  }
  Reader reader(block.substr(kHeaderBytes, header->length));
  if (reader.Bytes(kMagic.size()) != kMagic) return absl::NotFoundError("no segment head");
  const auto version = reader.Number<uint32_t>();
  if (version != kFormatVersion) return absl::UnimplementedError(StrCat("journal format version ", version));
  return reader;
}

}  // namespace

std::string EncodeSegmentHead(const SegmentHead& head) {
  RecordHeader header;
  header.segment = head.segment;
  header.epoch = head.epoch.id;
  header.type = RecordType::kSegment;
  return Block(header, HeadBody(head, kBodyRoom));
}

absl::StatusOr<SegmentHead> DecodeSegmentHead(std::string_view block) {
  RecordHeader header;
  absl::StatusOr<Reader> reader = OpenBlock(block, RecordType::kSegment, &header);
  if (!reader.ok()) return reader.status();
  SegmentHead head = ReadHeadBody(header, *reader);
  if (!reader->ok()) return absl::NotFoundError("no segment head");
  return head;
}

std::string EncodePositions(const Positions& positions) {
  RecordHeader header;
  header.segment = positions.head.segment;
  header.epoch = positions.head.epoch.id;
  header.type = RecordType::kPositions;
  header.flags = positions.closed ? kClosed : 0;
  header.number = positions.sequence;
  header.id = positions.boot;
  constexpr size_t kLimitBytes = kQueueCount * 8;
  std::string body = HeadBody(positions.head, kBodyRoom - kLimitBytes);
  for (const uint64_t limit : positions.safe_limit) Append(limit, &body);
  return Block(header, body);
}

absl::StatusOr<Positions> DecodePositions(std::string_view block) {
  RecordHeader header;
  absl::StatusOr<Reader> reader = OpenBlock(block, RecordType::kPositions, &header);
  if (!reader.ok()) return reader.status();
  Positions positions;
  positions.head = ReadHeadBody(header, *reader);
  positions.sequence = header.number;
  positions.boot = header.id;
  positions.closed = (header.flags & kClosed) != 0;
  for (uint64_t& limit : positions.safe_limit) limit = reader->Number<uint64_t>();
  if (!reader->ok()) return absl::NotFoundError("no positions");
  return positions;
}

}  // namespace sluice::journal
