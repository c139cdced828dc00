#include "gateway/daemon/warning_rules.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"
#include "base/status.h"

namespace sluice::daemon {

void WarningRules::OnSealKey(const SealKey& key) {
  if (key.was_exposed()) {
    Happened("seal_key_exposed", "the key that seals personal data could be read by others than its owner; its mode is 0600 again");
  }
  if (!key.replaced()) return;
  Happened("seal_key_replaced",
           StrCat("the key that seals personal data was lost or damaged and another was made: ", key.problem(),
                  key.set_aside().empty() ? "" : StrCat("; the old file is kept as ", key.set_aside()),
                  ". Punches and breaks that were not delivered yet cannot be opened any more and are declared lost"));
}

void WarningRules::OnStart(const journal::Found& found, const outbox::StartReport& report) {
  if (!found.clean_stop) {
    Happened("unclean_stop", "the last run did not end cleanly: if the power was cut, up to the last 50 ms of events that only a "
                             "broker acknowledged may be missing");
  }
  for (const auto& segment : found.segments) {
    if (segment.status.ok()) continue;
    spdlog::warn("journal {}: {}", segment.file, MessageOf(segment.status));
    Happened("journal_damaged",
             StrCat(segment.file, ": ", MessageOf(segment.status), "; what was behind it is declared lost where its numbers are "
                    "known. After a power cut this may be the last event, unsynced and unanswered"));
  }
  if (!found.positions.ok()) {
    Happened("journal_positions_damaged",
             StrCat("should a segment be damaged too, what it lost at the end of the last run is not known: ",
                    MessageOf(found.positions)));
  }
  JournalTails(found);
  for (const auto& text : report.warnings) spdlog::warn("outbox: {}", text);
  if (report.outbox_missing) {
    Happened("outbox_missing", "no outbox of the earlier runs was found, or it was emptied: what it held and the journal does not "
                               "have is declared lost");
  }
  if (report.journal_missing) {
    Happened("journal_missing", "no journal segment of the last run was found, or it was emptied: events that were not in the "
                                "outbox yet may be lost");
  }
  While(report.foreign > 0, "foreign_epochs",
        StrCat("the state folder holds what another gateway accepted, in ", report.foreign,
               " epochs and queues: it is kept and not sent"));
}

void WarningRules::JournalTails(const journal::Found& found) {
  std::string lost, unknown;
  for (const auto& tail : found.tails) {
    std::string& text = tail.counted ? lost : unknown;
    const uint64_t certain = std::max(tail.read_to, tail.taken_to);
    text += StrCat(text.empty() ? "" : "; ", QueueName(tail.queue), ":");
    if (tail.taken_to > tail.read_to) text += StrCat(" ", tail.read_to + 1, " to ", tail.taken_to, " were taken");
    if (tail.limit > certain) {
      text += StrCat(tail.taken_to > tail.read_to ? "," : "", " ", certain + 1, " to ", tail.limit, " may have been");
    }
  }
  if (!lost.empty()) {
    Happened("journal_end_lost",
             StrCat("the end of the last run cannot be read: what neither outbox nor cloud has is declared lost (", lost, ")"));
  }
  if (!unknown.empty()) {
    Happened("journal_end_unknown",
             StrCat("the last run ends in a bad record: mostly that is the last event before a power cut, unsynced and "
                    "unanswered. If more was damaged, these are lost and not declared (", unknown, ")"));
  }
}

void WarningRules::OnTick(Readings now) {
  While(!now.clock_fix.ok(), "clock_fix_waits", MessageOf(now.clock_fix));
  While(now.clock_unset, "clock_unset", "the clock was not set since boot: times of events are corrected once it is");
  While(now.intake.waiting > 0, "intake_backpressure",
        "the journal has no room: devices are kept waiting until the outbox has stored or the cloud has acknowledged what is "
        "pending");
  While(!now.seal_key_kept, "seal_key_not_kept",
        "the new key that seals personal data cannot be put on the disk (full, or read-only): punches and breaks are not taken "
        "until it can");
  JournalStates(now);
  OutboxStates(now);
  LinkStates(now);
  SourceStates(now);
  WhenGrown("bulk_dropped", now.outbox["dropped_bulk"],
            "status and telemetry were dropped, the oldest first, because the outbox has reached its quota; the cloud is told "
            "which (gaps in sluicectl queues)");
  WhenGrown("events_lost", now.outbox["gaps_declared"],
            "events that journal and outbox held cannot be read any more and were declared lost (gaps in sluicectl queues)");
  WhenGrown("beyond_replay_window", now.outbox["beyond_replay_window"],
            "the cloud was set back and lacks acknowledged events that are not kept here any more: it is told which");
  WhenGrown("epoch_not_begun", now.outbox["epochs_not_begun"],
            "another box writes under this one's keys, and the journal had no room for an epoch of its own: what comes goes out "
            "under fresh keys, but personal events are sealed under the old key until the next start");
  if (now.set_aside != set_aside_) {
    Happened("store_set_aside", StrCat("a store that could not be used was set aside as ", AsStd(absl::StrJoin(now.set_aside, ", ")), "; ",
                                       now.outbox["salvaged_rows"], " records were salvaged"));
    set_aside_ = std::move(now.set_aside);
  }
  EndOldHappenings();
}

void WarningRules::JournalStates(const Readings& now) {
  WhenGrown("journal_sync_failed", static_cast<int64_t>(now.journal.sync_failures),
            "the journal could not be synced and went on in a new segment: check the disk");
  While(now.journal.positions_failing, "journal_positions_not_written",
        "journal.positions cannot be written: should a segment be damaged, what it loses may not be known to the number");
  While(now.journal.foreign_segments > 0, "journal_foreign_segments",
        StrCat(now.journal.foreign_segments, " journal segments hold what another gateway accepted: they are kept and not sent, "
               "and take room on the disk beside ours"));
}

void WarningRules::OutboxStates(const Readings& now) {
  const auto figure = [&](const char* name) {
    const auto at = now.outbox.find(name);
    return at == now.outbox.end() ? 0 : at->second;
  };
  While(figure("writes_failing") > 0, "outbox_not_written",
        "the outbox cannot be written (the disk is full or fails): what the cloud does not take stays in the journal; make room "
        "or check the disk");
  // The steps at which somebody should know. They do not change with the figure, so that the log stays quiet.
  const int64_t used = figure("used_percent");
  While(used >= 70 && used < 85, "outbox_70_percent", "the outbox has used 70 % of its quota");
  While(used >= 85 && used < 95, "outbox_85_percent", "the outbox has used 85 % of its quota");
  While(used >= 95, "outbox_95_percent",
        "the outbox has used 95 % of its quota: soon only sales, punches and alarms are kept");
  While(figure("critical_waits_for_room") > 0 && used >= 95, "critical_waits_for_room",
        "the outbox has no room for sales, punches and alarms: what has no receipt stays with the devices");
}

void WarningRules::LinkStates(const Readings& now) {
  std::map<std::string, std::string> refused, not_believed;   // address to why: two queues may share it
  for (const sync::QueueStatus& link : now.links) {
    if (link.certificates == sync::TlsVerdict::Kind::kOursRefused) refused[link.address] = link.detail;
    if (link.certificates == sync::TlsVerdict::Kind::kTheirsNotBelieved) not_believed[link.address] = link.detail;
  }
  const auto list = [](const std::map<std::string, std::string>& links) {
    return std::string(absl::StrJoin(links, "; ", absl::PairFormatter(": ")));
  };
  While(!refused.empty(), "certificate_refused",
        StrCat(list(refused), ". Events are kept here meanwhile. Let the gateway's certificate be issued anew by an authority that the "
               "cloud trusts, and put it with its key in place of the old one: it is taken up without a restart"));
  While(!not_believed.empty(), "cloud_not_believed",
        StrCat(list(not_believed), ". Events are kept here meanwhile. Check identity.trust, the address and cloud.server_name; if they "
               "are right, somebody else may answer there"));
}

// "listener:shop" with trouble "files" is the warning listener_shop_files.
void WarningRules::SourceStates(const Readings& now) {
  std::map<std::string, std::string> troubles;
  for (const auto& [source, list] : now.troubles) {
    for (const auto& trouble : list) {
      std::string code = StrCat(source, "_", trouble.code);
      std::replace(code.begin(), code.end(), ':', '_');
      troubles[std::move(code)] = trouble.text;
    }
  }
  for (const auto& [code, text] : source_troubles_) {
    if (!troubles.contains(code)) While(false, code, text);
  }
  for (const auto& [code, text] : troubles) While(true, code, text);
  source_troubles_ = std::move(troubles);
}

void WarningRules::Happened(std::string_view code, std::string_view text) {
  {
    const std::lock_guard lock(mutex_);
    happened_us_[std::string(code)] = clock_.MonotonicUs();
  }
  if (warnings_.Raise(code, text)) spdlog::warn("warning={} {}", code, text);
}

void WarningRules::While(bool wrong, std::string_view code, std::string_view text) {
  if (wrong) {
    if (warnings_.Raise(code, text)) spdlog::warn("warning={} {}", code, text);
  } else if (warnings_.Clear(code)) {
    spdlog::info("warning={} is over", code);
  }
}

void WarningRules::WhenGrown(std::string_view code, int64_t count, std::string_view text) {
  int64_t& seen = seen_[std::string(code)];
  if (count > seen) Happened(code, text);
  seen = count;
}

void WarningRules::EndOldHappenings() {
  const int64_t before = clock_.MonotonicUs() - kHappeningStandsMs * 1'000;
  std::vector<std::string> over;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(happened_us_, [&](const auto& each) {
      if (each.second > before) return false;
      over.push_back(each.first);
      return true;
    });
  }
  for (const std::string& code : over) {
    if (warnings_.Clear(code)) spdlog::info("warning={} is over", code);
  }
}

}  // namespace sluice::daemon
