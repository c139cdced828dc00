#include "gateway/ctl/watch_screen.h"

#include <algorithm>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "gateway/ctl/escape.h"
#include "gateway/ctl/format_table.h"
#include "gateway/ctl/format_time.h"

namespace sluice::ctl {
namespace {

using control::v1::GetStatusResponse;

enum class Paint { kPlain, kTitle, kGood, kWarn, kBad, kDim };

struct Line {
  std::string text;   // escaped
  Paint paint = Paint::kPlain;
};

std::string_view Sgr(Paint paint) {
  switch (paint) {
    case Paint::kPlain:
      return "";
    case Paint::kTitle:
      return "\x1b[1m";
    case Paint::kGood:
      return "\x1b[32m";
    case Paint::kWarn:
      return "\x1b[33m";
    case Paint::kBad:
      return "\x1b[31m";
    case Paint::kDim:
      return "\x1b[2m";
  }
  return "";
}

Paint PaintOfLink(const std::string& link) {
  if (link == "streaming") return Paint::kGood;
  return link == "refused" ? Paint::kBad : Paint::kWarn;
}

// Without the id: the body says more, and `tail` has both.
std::string ShortEvent(const control::v1::TailedEvent& event) {
  return StrCat(LocalClock(event.received_ms()), "  ", EscapeForTerminal(event.device_id()), "  ",
                EscapeForTerminal(event.kind()), "  ", EscapeForTerminal(event.queue()), "#", event.number(), "  ",
                EscapeForTerminal(event.summary()));
}

std::string Safe(const std::string& text) { return text.empty() ? "-" : EscapeForTerminal(text); }

// The table's title line dim, its rows painted by `paint_of(index)`.
template <typename PaintOf>
void AddTable(std::vector<Line>& lines, const Table& table, PaintOf paint_of) {
  std::istringstream text(table.ToString());
  int index = -1;
  for (std::string line; std::getline(text, line); ++index) {
    lines.push_back({line, index < 0 ? Paint::kDim : paint_of(index)});
  }
}

void AddHead(std::vector<Line>& lines, const WatchModel& model, const GetStatusResponse& status, int64_t now_ms) {
  lines.push_back({StrCat("sluiced ", Safe(status.version()), "   gateway ", Safe(status.gateway_id()), "   shop ",
                          Safe(status.shop_id()), "   up ",
                          status.started_ms() != 0 ? Duration(now_ms - status.started_ms()) : "-", "   clock ",
                          Safe(status.clock_state()), "   ", LocalClock(now_ms)),
                   Paint::kTitle});
  lines.push_back({StrCat(status.accepted(), " events accepted", model.has_rates() ? " (" : "",
                          model.has_rates() ? Rate(model.accepted_rate()) + "/s)" : "", "   ", status.duplicates(),
                          " duplicates   ", status.rejected(), " rejected   ", status.devices(), " devices"),
                   Paint::kPlain});
}

void AddQueues(std::vector<Line>& lines, const WatchModel& model, const GetStatusResponse& status, int64_t now_ms) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"QUEUE"}, {"LINK"}, {"IN/s", kRight}, {"OUT/s", kRight}, {"PENDING", kRight}, {"OLDEST", kRight},
               {"STORED", kRight}, {"ACK TIME", kRight}, {"GAPS", kRight}, {"DEAD", kRight}, {"ACKED", kRight}});
  for (const auto& queue : status.queues()) {
    const auto rates = model.rates(queue.name());
    table.Add({queue.name(), queue.link(), model.has_rates() ? Rate(rates.accepted) : "-",
               model.has_rates() ? Rate(rates.acknowledged) : "-", StrCat(queue.pending()),
               queue.pending() > 0 ? Duration(queue.oldest_ms()) : "-", StrCat(queue.stored()),
               queue.ack_time_us() > 0 ? Microseconds(queue.ack_time_us()) : "-", StrCat(queue.gaps()),
               StrCat(queue.dead_letters()), StrCat(queue.acknowledged())});
  }
  AddTable(lines, table, [&](int i) { return PaintOfLink(status.queues(i).link()); });
  for (const auto& queue : status.queues()) {
    if (queue.link() == "streaming" || (queue.detail().empty() && queue.next_try_ms() == 0)) continue;
    std::string text = StrCat("  ", Safe(queue.name()), ": ", EscapeForTerminal(queue.detail()));
    if (queue.next_try_ms() > now_ms) text += StrCat(" (next try in ", Duration(queue.next_try_ms() - now_ms), ")");
    lines.push_back({text, PaintOfLink(queue.link())});
  }
}

void AddSources(std::vector<Line>& lines, const GetStatusResponse& status) {
  if (status.sources_size() == 0) return;
  Table table({{"SOURCE"}, {"STATE"}, {"EVENTS", Table::Align::kRight}, {"REJECTED", Table::Align::kRight}, {"DETAIL"}});
  for (const auto& source : status.sources()) {
    table.Add({source.name(), source.state(), StrCat(source.events()), StrCat(source.rejected()), source.detail()});
  }
  lines.push_back({});
  AddTable(lines, table, [&](int i) {
    return status.sources(i).state() == "connected" ? Paint::kPlain : Paint::kWarn;
  });
}

std::string Join(const std::vector<Line>& lines, ScreenSize size, bool colour) {
  std::string out;
  for (size_t i = 0; i < std::min(lines.size(), size.rows); ++i) {
    if (i > 0) out += '\n';
    const std::string_view sgr = colour ? Sgr(lines[i].paint) : "";
    out += sgr;
    out += Truncate(lines[i].text, size.columns);
    if (!sgr.empty()) out += "\x1b[0m";
  }
  return out;
}

}  // namespace

std::string DrawScreen(const WatchModel& model, ScreenSize size, int64_t now_ms, bool colour) {
  std::vector<Line> lines;
  if (!model.lost().empty()) {
    std::istringstream text(model.lost());
    for (std::string line; std::getline(text, line);) lines.push_back({EscapeForTerminal(line), Paint::kBad});
    lines.push_back({"Trying again …", Paint::kDim});
    lines.push_back({});
  }
  if (model.status()) {
    const GetStatusResponse& status = *model.status();
    AddHead(lines, model, status, now_ms);
    for (const auto& warning : status.warnings()) {
      lines.push_back({StrCat("! ", Safe(warning.code()), ": ", Safe(warning.text())), Paint::kWarn});
    }
    lines.push_back({});
    AddQueues(lines, model, status, now_ms);
    AddSources(lines, status);
  }
  lines.push_back({});
  lines.push_back({StrCat("LAST EVENTS", model.not_shown() > 0
                                             ? StrCat("   (", model.not_shown(), " more came too fast to be shown)")
                                             : ""),
                   Paint::kDim});
  const size_t room = size.rows > lines.size() ? size.rows - lines.size() : 0;
  const size_t shown = std::min(room, model.events().size());
  for (size_t i = model.events().size() - shown; i < model.events().size(); ++i) {
    lines.push_back({ShortEvent(model.events()[i]), Paint::kPlain});
  }
  return Join(lines, size, colour);
}

std::string DrawLine(const WatchModel& model, int64_t now_ms) {
  if (!model.lost().empty()) {
    return StrCat(LocalTime(now_ms), "  ", EscapeForTerminal(model.lost().substr(0, model.lost().find('\n'))));
  }
  if (!model.status()) return StrCat(LocalTime(now_ms), "  no answer yet");
  std::string out = StrCat(LocalTime(now_ms), "  in ", model.has_rates() ? Rate(model.accepted_rate()) : "-", "/s");
  for (const auto& queue : model.status()->queues()) {
    out += StrCat("  ", Safe(queue.name()), " ", Safe(queue.link()), " ",
                  model.has_rates() ? Rate(model.rates(queue.name()).acknowledged) : "-", "/s pending ",
                  queue.pending());
    if (queue.ack_time_us() > 0) out += StrCat(" ack ", Microseconds(queue.ack_time_us()));
  }
  for (const auto& warning : model.status()->warnings()) out += StrCat("  ! ", Safe(warning.code()));
  return out;
}

}  // namespace sluice::ctl
