#include "gateway/ctl/command_line.h"

#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

#include "gateway/ctl/cloud_command_line.h"
#include "gateway/ctl/dead_letters_command.h"
#include "gateway/ctl/devices_command.h"
#include "gateway/ctl/exit_code.h"
#include "gateway/ctl/listener_command.h"
#include "gateway/ctl/queues_command.h"
#include "gateway/ctl/status_command.h"
#include "gateway/ctl/sync_command.h"
#include "gateway/ctl/tail_command.h"
#include "gateway/ctl/trace_command.h"
#include "gateway/ctl/watch_command.h"

namespace sluice::ctl {
namespace {

constexpr char kFooter[] =
    "Exit codes: 0 all well; 1 something is wrong or was not found; 2 wrong usage; 3 nobody answers.\n"
    "Manual: man sluicectl\n";

void AddListenerCommands(CLI::App& app, std::function<int(const Session&)>& run) {
  CLI::App* listener = app.add_subcommand("listener", "passwords for the gateway's own MQTT server; needs no daemon");
  listener->require_subcommand(1)->fallthrough();
  const auto options = std::make_shared<ListenerOptions>();   // shared with the closures below
  listener->add_option("--password-file", options->password_file, "the password_file of [[listener]]")->capture_default_str();
  CLI::App* add = listener->add_subcommand("add-device", "a password for a device: generated, shown once, kept as a hash");
  add->add_option("device", options->device, "its name, which is its MQTT user name too")->required();
  add->add_flag("--replace", options->replace, "it may have one already, which ends");
  add->add_flag("--stdin", options->from_stdin, "instead of generating one: the first line of the input");
  add->callback([&run, options] {
    run = [options](const Session& session) { return RunAddDevice(session, *options, std::cin); };
  });
  CLI::App* remove = listener->add_subcommand("remove-device", "the device cannot come in any more");
  remove->add_option("device", options->device, "its name")->required();
  remove->callback([&run, options] {
    run = [options](const Session& session) { return RunRemoveDevice(session, *options); };
  });
  listener->add_subcommand("list-devices", "who has a password")->callback([&run, options] {
    run = [options](const Session& session) { return RunListDevices(session, *options); };
  });
}

}  // namespace

int RunCommandLine(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  CLI::App app("Asks a running sluiced, and the cloud it delivers to; keeps the listener's passwords.", "sluicectl");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();   // --json and --socket may stand behind the command too

  std::string socket_path = "/run/sluice/control.sock";
  bool json = false;
  app.add_option("--socket", socket_path, "the daemon's control socket")->envname("SLUICE_SOCKET")->capture_default_str();
  app.add_flag("--json", json, "for programs: one JSON object, or one a line for streams");

  // Parsed first, run afterwards: a command never sees half of its options.
  std::function<int(const Session&)> run;

  app.add_subcommand("status", "everything at one glance; exit code 1 if something is wrong")->callback([&] {
    run = RunStatus;
  });
  app.add_subcommand("devices", "devices that the gateway has heard")->callback([&] { run = RunDevices; });
  app.add_subcommand("queues", "what waits for the cloud, and how each link is")->callback([&] { run = RunQueues; });

  CLI::App* letters = app.add_subcommand("dead-letters", "what the cloud could never accept of ours, and why");
  letters->fallthrough();
  letters->add_subcommand("list", "since the start; also without this word");
  letters->callback([&] { run = RunDeadLetters; });

  TailOptions tail_options;
  bool no_follow = false;
  CLI::App* tail = app.add_subcommand("tail", "events as they come; Ctrl-C ends it");
  tail->add_option("--last", tail_options.last, "begin with the newest N that are remembered")->capture_default_str();
  tail->add_flag("--no-follow", no_follow, "end after those");
  tail->add_option("--device", tail_options.device_id, "only of this device");
  tail->add_flag("--rejected", tail_options.rejected, "instead of events: what was refused, and why");
  tail->callback([&] {
    tail_options.follow = !no_follow;
    run = [&](const Session& session) { return RunTail(session, tail_options); };
  });

  std::string event_id;
  CLI::App* trace = app.add_subcommand("trace", "where one event has been, and when");
  trace->add_option("event-id", event_id, "a UUID, as tail shows it")->required();
  trace->callback([&] { run = [&](const Session& session) { return RunTrace(session, event_id); }; });

  CLI::App* sync = app.add_subcommand("sync", "delivery to the cloud")->require_subcommand(1);
  sync->fallthrough();
  sync->add_subcommand("now", "links that wait for a retry try at once")->callback([&] { run = RunSyncNow; });

  WatchOptions watch_options;
  double interval_s = 1;
  CLI::App* watch = app.add_subcommand("watch", "a live screen: queues, rates, links, warnings, the last events");
  watch->add_option("--interval", interval_s, "seconds between redraws")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  watch->add_option("--count", watch_options.count, "end after N redraws (default: Ctrl-C ends it)");
  watch->callback([&] {
    watch_options.interval_ms = static_cast<int64_t>(interval_s * 1000);
    run = [&](const Session& session) { return RunWatch(session, watch_options); };
  });

  AddListenerCommands(app, run);
  AddCloudCommands(app, run);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 has an exit code for each kind of mistake; ours is one.
    return app.exit(error, out, err) == 0 ? kOk : kUsage;
  }
  return run(Session{socket_path, json, out, err});
}

}  // namespace sluice::ctl
