#include "gateway/ctl/cloud_command_line.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "gateway/ctl/cloud_dead_letters_command.h"
#include "gateway/ctl/cloud_devices_command.h"
#include "gateway/ctl/cloud_events_command.h"
#include "gateway/ctl/cloud_punches_command.h"
#include "gateway/ctl/cloud_stock_command.h"
#include "gateway/ctl/cloud_target.h"

namespace sluice::ctl {
namespace {

struct CloudArguments {
  CloudTarget target;
  std::string run_json, shop_id, product_id, employee_id;
  uint64_t limit = 0;
  CloudEventsOptions events;
  DeadLettersOptions letters;
};

}  // namespace

void AddCloudCommands(CLI::App& app, std::function<int(const Session&)>& run) {
  CLI::App* cloud = app.add_subcommand("cloud", "asks the cloud services, over mutual TLS")->require_subcommand(1);
  cloud->fallthrough();
  // Shared with the closures below.
  const auto arguments = std::make_shared<CloudArguments>();
  cloud->add_option("--run-json", arguments->run_json, "addresses and certificates from the file of scripts/run");
  cloud->add_option("--shop", arguments->target.shop, "HOST:PORT of the shop service");
  cloud->add_option("--inventory", arguments->target.inventory, "HOST:PORT of the inventory service");
  cloud->add_option("--attendance", arguments->target.attendance, "HOST:PORT of the attendance service");
  cloud->add_option("--ca", arguments->target.ca_file, "PEM file: the authority of the services' certificates");
  cloud->add_option("--cert", arguments->target.cert_file, "PEM file: our certificate");
  cloud->add_option("--key", arguments->target.key_file, "PEM file: its private key");
  cloud->add_option("--server-name", arguments->target.server_name, "expected in the services' certificates");

  const auto command = [&run, arguments](CLI::App* sub, auto run_command) {
    sub->callback([&run, arguments, run_command] {
      run = [arguments, run_command](const Session& session) {
        if (!arguments->run_json.empty()) {
          if (absl::Status status = ReadRunJson(arguments->run_json, arguments->target); !status.ok()) {
            return Fail(session, status);
          }
        }
        return run_command(session, *arguments);
      };
    });
  };
  const auto add_limit = [&](CLI::App* sub) { sub->add_option("--limit", arguments->limit, "at most N rows (default: all)"); };
  const auto add_shop_id = [&](CLI::App* sub) { sub->add_option("--shop-id", arguments->shop_id, "only of this shop"); };

  CLI::App* devices = cloud->add_subcommand("devices", "devices as the shop service knows them");
  add_shop_id(devices);
  add_limit(devices);
  command(devices, [](const Session& session, const CloudArguments& a) {
    return RunCloudDevices(session, a.target, a.shop_id, a.limit);
  });

  CLI::App* stock = cloud->add_subcommand("stock", "what is left on the shelf");
  add_shop_id(stock);
  stock->add_option("--product", arguments->product_id, "only of this product");
  add_limit(stock);
  command(stock, [](const Session& session, const CloudArguments& a) {
    return RunCloudStock(session, a.target, a.shop_id, a.product_id, a.limit);
  });

  CLI::App* punches = cloud->add_subcommand("punches", "who clocked in and out");
  add_shop_id(punches);
  punches->add_option("--employee", arguments->employee_id, "only of this employee");
  add_limit(punches);
  command(punches, [](const Session& session, const CloudArguments& a) {
    return RunCloudPunches(session, a.target, a.shop_id, a.employee_id, a.limit);
  });

  CLI::App* events = cloud->add_subcommand("events", "what the services publish");
  events->add_option("--last", arguments->events.last, "begin with the newest N of each service; 0: with the first")
      ->capture_default_str();
  events->add_flag("--follow", arguments->events.follow, "go on with new ones; Ctrl-C ends it");
  events->add_option("--type", arguments->events.event_type, "only of this type, such as StockUpdated");
  events->add_option("--from", arguments->events.from, "only of these services")
      ->check(CLI::IsMember({"shop", "inventory", "attendance"}));
  command(events, [](const Session& session, const CloudArguments& a) {
    return RunCloudEvents(session, a.target, a.events);
  });

  CLI::App* letters = cloud->add_subcommand("dead-letters", "what the services could never accept");
  letters->require_subcommand(1)->fallthrough();
  CLI::App* list = letters->add_subcommand("list", "oldest first, with the reasons");
  list->add_option("--service", arguments->letters.services, "only of these services")
      ->check(CLI::IsMember({"shop", "inventory", "attendance"}));
  list->add_option("--gateway", arguments->letters.gateway_id, "only of this gateway");
  list->add_option("--limit", arguments->letters.limit, "at most N rows (default: all)");
  command(list, [](const Session& session, const CloudArguments& a) {
    return RunCloudListDeadLetters(session, a.target, a.letters);
  });
  const auto add_letter = [&](const char* name, const char* help, auto run_letter) {
    CLI::App* sub = letters->add_subcommand(name, help);
    sub->add_option("id", arguments->letters.id, "as list shows it")->required();
    command(sub, [run_letter](const Session& session, const CloudArguments& a) {
      return run_letter(session, a.target, a.letters);
    });
    return sub;
  };
  add_letter("show", "one of them: reason, origin, bytes", RunCloudShowDeadLetter);
  add_letter("requeue", "applies it again, late; exit code 1 if it is refused again", RunCloudRequeueDeadLetter);
  add_letter("drop", "lets it go for good", RunCloudDropDeadLetter)
      ->add_option("--reason", arguments->letters.reason, "why, for the audit")
      ->required();
}

}  // namespace sluice::ctl
