#include "tests/faults/tcp_proxy.h"

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <future>
#include <map>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "tests/faults/proxied_connection.h"

namespace sluice::faults {
namespace {

using asio::ip::tcp;

// The host and the port of "host:port"; IPv6 addresses in brackets.
absl::StatusOr<std::pair<std::string, std::string>> Split(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
    return absl::InvalidArgumentError(StrCat("'", address, "' is not host:port"));
  }
  std::string host = address.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return std::pair(std::move(host), address.substr(colon + 1));
}

absl::Status AsStatus(const asio::error_code& error, const std::string& doing) {
  return absl::UnavailableError(StrCat(doing, ": ", error.message()));
}

class TcpProxyImpl final : public TcpProxy {
 public:
  explicit TcpProxyImpl(const ProxyOptions& options)
      : to_(options.to), listen_(options.listen), reserved_(context_), acceptor_(context_), idle_(context_.get_executor()) {
    state_.delay_us = options.delay_ms * 1000;
    state_.max_queued_bytes = options.max_queued_bytes;
  }

  ~TcpProxyImpl() override {
    if (!thread_.joinable()) return;
    Do([this] {
      asio::error_code ignored;
      acceptor_.close(ignored);
      ResetEach();
    });
    idle_.reset();
    context_.stop();
    thread_.join();
  }

  absl::Status Open() {
    asio::error_code error;
    tcp::resolver resolver(context_);
    auto to = Split(to_), listen = Split(listen_);
    if (!to.ok()) return to.status();
    if (!listen.ok()) return listen.status();
    for (const auto& entry : resolver.resolve(to->first, to->second, error)) targets_.push_back(entry.endpoint());
    if (error) return AsStatus(error, StrCat("resolving ", to_));
    const auto found = resolver.resolve(listen->first, listen->second, tcp::resolver::passive, error);
    if (error) return AsStatus(error, StrCat("resolving ", listen_));
    endpoint_ = found.begin()->endpoint();

    // Bound and never listening: nobody else gets the port while the acceptor is closed.
    reserved_.open(endpoint_.protocol(), error);
    if (!error) reserved_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) reserved_.bind(endpoint_, error);
    if (error) return AsStatus(error, StrCat("binding ", listen_));
    endpoint_ = reserved_.local_endpoint();
    if (absl::Status status = Listen(); !status.ok()) return status;
    thread_ = std::thread([this] { context_.run(); });
    return absl::OkStatus();
  }

  uint16_t port() const override { return endpoint_.port(); }

  ProxyFigures figures() const override {
    return const_cast<TcpProxyImpl*>(this)->Do([this] {
      ProxyFigures figures = state_.figures;
      figures.open = connections_.size();
      return figures;
    });
  }

  absl::Status Refuse() override {
    return Do([this] {
      asio::error_code error;
      acceptor_.close(error);
      return error ? AsStatus(error, "closing") : absl::OkStatus();
    });
  }
  void ResetAll() override {
    Do([this] { ResetEach(); });
  }
  void Stall() override {
    Do([this] { SetFlow(Flow::kStall); });
  }
  void HalfOpen() override {
    Do([this] { SetFlow(Flow::kHalfOpen); });
  }
  void CutAfter(uint64_t bytes, Direction direction) override {
    Do([this, bytes, direction] {
      state_.cut_armed = true;
      state_.cut_left = bytes;
      state_.cut_direction = direction;
    });
  }
  void SetDelay(int64_t delay_ms) override {
    Do([this, delay_ms] { state_.delay_us = delay_ms * 1000; });
  }
  absl::Status Resume() override {
    return Do([this] {
      state_.cut_armed = false;
      SetFlow(Flow::kNormal);
      return acceptor_.is_open() ? absl::OkStatus() : Listen();
    });
  }

 private:
  // Runs `work` on the proxy's thread and waits for it.
  template <typename Work>
  std::invoke_result_t<Work> Do(Work work) {
    std::packaged_task<std::invoke_result_t<Work>()> task(std::move(work));
    auto result = task.get_future();
    asio::post(context_, [&task] { task(); });
    return result.get();
  }

  absl::Status Listen() {
    asio::error_code error;
    acceptor_.open(endpoint_.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint_, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) return AsStatus(error, StrCat("listening on port ", endpoint_.port()));
    Accept();
    return absl::OkStatus();
  }

  void Accept() {
    acceptor_.async_accept([this](asio::error_code error, tcp::socket client) {
      if (!acceptor_.is_open()) return;
      if (!error) {
        ++state_.figures.accepted;
        auto connection = std::make_shared<ProxiedConnection>(
            std::move(client), state_, [this](ProxiedConnection* ended) { connections_.erase(ended); });
        connections_[connection.get()] = connection;
        connection->Connect(targets_);
      }
      // An acceptor that was closed and opened again has a new call under way; this one then ended with an error.
      if (error != asio::error::operation_aborted) Accept();
    });
  }

  // A copy: connections leave the map while we go through it.
  std::vector<std::shared_ptr<ProxiedConnection>> Each() const {
    std::vector<std::shared_ptr<ProxiedConnection>> all;
    for (const auto& [key, connection] : connections_) all.push_back(connection);
    return all;
  }
  void ResetEach() {
    for (const auto& connection : Each()) connection->Reset();
  }
  void SetFlow(Flow flow) {
    state_.flow = flow;
    for (const auto& connection : Each()) connection->FlowChanged();
  }

  const std::string to_, listen_;
  asio::io_context context_{1};
  // Used on the proxy's thread once it runs.
  std::vector<tcp::endpoint> targets_;
  tcp::endpoint endpoint_;
  ProxyState state_;
  tcp::socket reserved_;
  tcp::acceptor acceptor_;
  std::map<ProxiedConnection*, std::shared_ptr<ProxiedConnection>> connections_;
  asio::executor_work_guard<asio::io_context::executor_type> idle_;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TcpProxy>> TcpProxy::Start(const ProxyOptions& options) {
  auto proxy = std::make_unique<TcpProxyImpl>(options);
  if (absl::Status status = proxy->Open(); !status.ok()) return status;
  return std::unique_ptr<TcpProxy>(std::move(proxy));
}

}  // namespace sluice::faults
