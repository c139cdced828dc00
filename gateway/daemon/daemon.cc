#include "gateway/daemon/daemon.h"

#include <spdlog/spdlog.h>

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/lock_file.h"
#include "base/random.h"
#include "base/seal_key.h"
#include "base/status.h"
#include "devices/all_drivers.h"
#include "gateway/control/control_server.h"
#include "gateway/daemon/control_view.h"
#include "gateway/daemon/dead_letter_log.h"
#include "gateway/daemon/hardware_id.h"
#include "gateway/daemon/room_options.h"
#include "gateway/daemon/warning_rules.h"
#include "gateway/health/counters.h"
#include "gateway/health/warnings.h"
#include "gateway/intake/intake.h"
#include "gateway/journal/journal.h"
#include "gateway/outbox/outbox.h"
#include "sync/identity.h"
#include "sync/uplink.h"

namespace sluice::daemon {
namespace {

// 2026-01-01: no gateway of this make ran before, so a clock below it was never set.
constexpr int64_t kClockFloorMs = 1'767'225'600'000;

constexpr int64_t kControlRetryUs = 10'000'000;

// The intake's rows as the outbox wants them.
class IntakeSnapshots final : public outbox::Snapshots {
 public:
  explicit IntakeSnapshots(intake::Intake& intake) : intake_(intake) {}
  std::map<std::string, std::string> TakeChanged() override { return intake_.TakeChanged(); }
  void GiveBack(std::map<std::string, std::string> rows) override { intake_.GiveBack(std::move(rows)); }

 private:
  intake::Intake& intake_;
};

// What the links have to say, into log and warnings.
class LinkObserver final : public sync::Observer {
 public:
  LinkObserver(WarningRules& rules, std::function<void(const std::string&)> shop_changed,
               std::function<void(DeadLetterEntry)> dead_letter)
      : rules_(rules), shop_changed_(std::move(shop_changed)), dead_letter_(std::move(dead_letter)) {}
  void OnAlarm(Queue queue, sync::Alarm alarm, const std::string& text) override {
    rules_.Happened(StrCat("sync_", sync::AlarmName(alarm), "_", QueueName(queue)), text);
  }
  void OnDeadLetter(Queue queue, const EpochId& epoch, uint64_t number, const std::string& reason) override {
    spdlog::warn("queue={} epoch={} number={} the cloud put an event among its dead letters: {}", QueueName(queue),
                 epoch.ToHex(), number, reason);
    dead_letter_({.queue = queue, .epoch = epoch, .number = number, .reason = reason});
  }

  void OnShopChanged(const std::string& shop) override {
    spdlog::info("the certificate names shop {}: an epoch of it has begun", shop);
    shop_changed_(shop);
  }

 private:
  WarningRules& rules_;
  const std::function<void(const std::string&)> shop_changed_;
  const std::function<void(DeadLetterEntry)> dead_letter_;
};

class DaemonImpl final : public Daemon {
 public:
  explicit DaemonImpl(const Clock& clock) : clock_(clock) {}
  ~DaemonImpl() override { Stop(); }

  absl::Status Open(const config::Config& config);
  void Tick() override;
  void Stop() override;

 private:
  absl::Status OpenStore(const config::Config& config, const sync::GatewayIdentity& identity);
  absl::Status OpenLinks(const config::Config& config);
  absl::Status OpenSources(const config::Config& config, const std::string& gateway);
  absl::Status OpenControl();
  void NoteDeadLetter(DeadLetterEntry letter);
  void ReportStart();

  // In the order of construction; destroyed in the reverse.
  const Clock& clock_;
  SystemRandom random_;
  PosixFileSystem files_;
  health::Counters counters_;
  health::Warnings warnings_{clock_, counters_};
  WarningRules rules_{warnings_, clock_};
  DeadLetterLog dead_letters_;
  LinkObserver link_observer_{rules_, [this](const std::string& shop) { intake_->SetShop(shop); },
                              [this](DeadLetterEntry letter) { NoteDeadLetter(std::move(letter)); }};
  LockFile lock_;
  std::optional<SealKey> seal_key_;
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<intake::ClockWatch> clock_watch_;
  std::unique_ptr<intake::Intake> intake_;
  std::unique_ptr<IntakeSnapshots> snapshots_;
  std::unique_ptr<outbox::Outbox> outbox_;
  std::unique_ptr<sync::Uplink> uplink_;
  std::vector<std::unique_ptr<devices::Driver>> drivers_;
  std::unique_ptr<ControlView> view_;
  control::Options control_options_;
  std::unique_ptr<control::ControlServer> control_;
  int64_t control_retry_us_ = 0;
  bool stopped_ = false;
};

absl::Status DaemonImpl::Open(const config::Config& config) {
  const int64_t started_ms = clock_.WallMs();
  ASSIGN_OR_RETURN(const std::string certificate, ReadFile(config.identity.certificate));
  auto identity = sync::IdentityOfCertificate(certificate);
  if (!identity.ok()) return WithContext(identity.status(), config.identity.certificate);

  RETURN_IF_ERROR(OpenStore(config, *identity));
  RETURN_IF_ERROR(OpenLinks(config));
  RETURN_IF_ERROR(OpenSources(config, identity->gateway));

  view_ = std::make_unique<ControlView>(Rooms{.intake = *intake_,
                                              .clock_watch = *clock_watch_,
                                              .journal = *journal_,
                                              .outbox = *outbox_,
                                              .uplink = *uplink_,
                                              .drivers = drivers_,
                                              .dead_letters = dead_letters_,
                                              .warnings = warnings_,
                                              .counters = counters_,
                                              .clock = clock_,
                                              .gateway = identity->gateway,
                                              .version = kVersion,
                                              .started_ms = started_ms});
  control_options_ = ControlOptions(config);
  RETURN_IF_ERROR(OpenControl());

  intake_->Start();
  uplink_->Start();
  for (const auto& driver : drivers_) RETURN_IF_ERROR(WithContext(driver->Start(), driver->Status().name));
  ReportStart();
  Tick();
  return absl::OkStatus();
}

absl::Status DaemonImpl::OpenStore(const config::Config& config, const sync::GatewayIdentity& identity) {
  const std::string& folder = config.gateway.state_dir;
  RETURN_IF_ERROR(files_.MakeFolder(folder));
  // Before anything is mended in it: another daemon may be at work here.
  ASSIGN_OR_RETURN(lock_, LockFile::AcquireFolder(folder));
  seal_key_.emplace(SealKey::Open(folder, random_));
  rules_.OnSealKey(*seal_key_);
  const Sealer* const sealer = &seal_key_->sealer();

  ASSIGN_OR_RETURN(const Id128 boot_id, intake::ReadBootId());
  journal::Options journal_options = JournalOptions(config);
  journal_options.boot = boot_id;
  ASSIGN_OR_RETURN(const uint64_t ordinal, outbox::NextOrdinal(folder));
  ASSIGN_OR_RETURN(journal_, journal::Journal::Open(journal_options, identity.gateway, identity.shop, ordinal, files_, clock_,
                                                    random_, sealer));
  clock_watch_ = std::make_unique<intake::ClockWatch>(clock_, boot_id, kClockFloorMs, intake::KernelClockIsSynced);
  intake_ = std::make_unique<intake::Intake>(IntakeOptions(config, identity.gateway, identity.shop), *journal_, clock_, random_,
                                             *clock_watch_, [this](std::string row) {
                                               if (outbox_) outbox_->PutRejected(std::move(row));
                                             });
  snapshots_ = std::make_unique<IntakeSnapshots>(*intake_);
  ASSIGN_OR_RETURN(outbox_, outbox::Outbox::Open(OutboxOptions(config), *journal_, clock_, sealer, snapshots_.get()));

  // What cannot be read costs comfort, not events: a repetition is taken again under its event id, a refusal not shown.
  if (auto status = intake_->Restore(outbox_->LoadSnapshots()); !status.ok()) spdlog::warn("{}", MessageOf(status));
  if (const auto rejected = outbox_->ListRejected(1000); rejected.ok()) intake_->RestoreRejects(*rejected);
  if (auto status = intake_->PollClock(); !status.ok()) spdlog::warn("clock fix: {}", MessageOf(status));
  return absl::OkStatus();
}

absl::Status DaemonImpl::OpenLinks(const config::Config& config) {
  HardwareIdentity hardware = HardwareId(config.gateway.hardware_id, config.gateway.state_dir, random_);
  if (!hardware.kept.ok()) {
    rules_.Happened("hardware_id_not_kept",
                    StrCat("this box has no number of its own and the random one could not be kept: after a restart the cloud "
                           "takes it for another box, and lets it wait some minutes: ", MessageOf(hardware.kept)));
  }
  ASSIGN_OR_RETURN(uplink_, sync::Uplink::Create(UplinkOptions(config, std::move(hardware.id), StrCat("sluiced ", kVersion)),
                                                 *outbox_, clock_, random_, &link_observer_));
  return absl::OkStatus();
}

absl::Status DaemonImpl::OpenSources(const config::Config& config, const std::string& gateway) {
  ASSIGN_OR_RETURN(drivers_, devices::MakeDrivers(DriverConfigs(config, gateway, kClockFloorMs), *intake_, clock_, random_));
  for (const auto& driver : drivers_) {
    if (driver->receipts() != nullptr) intake_->SetReceiptChannel(driver->Status().name, driver->receipts());
  }
  return absl::OkStatus();
}

// On the uplink's thread, while the outbox still holds the event.
void DaemonImpl::NoteDeadLetter(DeadLetterEntry letter) {
  letter.event_id = outbox_->IdAt(letter.queue, letter.epoch, letter.number);
  letter.at_ms = clock_.WallMs();
  dead_letters_.Add(std::move(letter));
}

// Nobody is kept from selling because nobody can look: a socket that cannot be made is tried again. Another daemon on it is
// a mistake that somebody has to mend.
absl::Status DaemonImpl::OpenControl() {
  auto opened = control::ControlServer::Start(control_options_, *view_);
  if (opened.ok()) {
    control_ = *std::move(opened);
    rules_.While(false, "control_unavailable", "");
    return absl::OkStatus();
  }
  if (absl::IsAlreadyExists(opened.status()) || absl::IsInvalidArgument(opened.status())) return opened.status();
  rules_.While(true, "control_unavailable", StrCat("sluicectl cannot be answered: ", MessageOf(opened.status())));
  control_retry_us_ = clock_.MonotonicUs() + kControlRetryUs;
  return absl::OkStatus();
}

void DaemonImpl::ReportStart() {
  const journal::Found& found = journal_->found();
  const outbox::StartReport report = outbox_->start_report();
  spdlog::info("sluiced {} started: epoch {} (ordinal {}), {} pending, {} journal segments read", kVersion,
               journal_->epoch().id.ToHex(), journal_->epoch().ordinal, report.pending, found.segments.size());
  rules_.OnStart(found, report);
}

void DaemonImpl::Tick() {
  if (control_ == nullptr && clock_.MonotonicUs() >= control_retry_us_) {
    if (const absl::Status opened = OpenControl(); !opened.ok()) spdlog::warn("{}", MessageOf(opened));
  }
  const absl::Status clock_fix = intake_->PollClock();
  std::vector<std::pair<std::string, std::vector<devices::DriverStatus::Trouble>>> troubles;
  for (const auto& driver : drivers_) {
    devices::DriverStatus status = driver->Status();
    troubles.emplace_back(std::move(status.name), std::move(status.troubles));
  }
  seal_key_->Keep(random_);
  rules_.OnTick({.intake = intake_->figures(),
                 .journal = journal_->figures(),
                 .outbox = outbox_->counters(),
                 .set_aside = outbox_->start_report().set_aside,
                 .clock_unset = clock_watch_->state() == event::v1::CLOCK_STATE_UNSET,
                 .clock_fix = clock_fix,
                 .seal_key_kept = seal_key_->kept(),
                 .links = uplink_->Status(),
                 .troubles = std::move(troubles)});
}

void DaemonImpl::Stop() {
  if (std::exchange(stopped_, true)) return;
  // What devices were promised first: everything written becomes safe and is receipted while the sources still stand.
  if (journal_) {
    if (auto status = journal_->Sync(); !status.ok()) spdlog::warn("stop: {}", MessageOf(status));
  }
  if (intake_) intake_->Shutdown();
  for (const auto& driver : drivers_) {
    if (intake_) intake_->SetReceiptChannel(driver->Status().name, nullptr);
    driver->Stop();
  }
  if (uplink_) uplink_->Stop();
  if (control_) control_->Stop();
  if (outbox_) {
    if (auto status = outbox_->Close(); !status.ok()) spdlog::warn("stop: outbox: {}", MessageOf(status));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const config::Config& config, const Clock& clock) {
  auto daemon = std::make_unique<DaemonImpl>(clock);
  RETURN_IF_ERROR(daemon->Open(config));
  return daemon;
}

}  // namespace sluice::daemon
