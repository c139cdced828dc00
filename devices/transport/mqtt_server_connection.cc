// Bytes, time, and how a connection ends.
#include "devices/transport/mqtt_server_connection.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "devices/transport/mqtt_packet_reasons.h"

namespace sluice::transport {

MqttServerConnection::MqttServerConnection(MqttServer& server, uint64_t id, int64_t now_ms)
    : server_(server), id_(id), connect_(std::make_unique<MqttConnect>()), rate_(server.options().publishes_per_second, server.options().publish_burst), opened_ms_(now_ms),
      heard_ms_(now_ms), publish_(server.scratch().publish), outgoing_(server.scratch().outgoing), ack_(server.scratch().ack),
      due_(server.scratch().due) {
  if (server_.shut_down()) {
    state_ = State::kClosed;
    closed_why_ = "the server is shutting down";
    closed_reason_ = MqttReason::kServerShuttingDown;
  }
}

MqttServerConnection::~MqttServerConnection() {
  destroyed_ = true;
  Closed("given up", heard_ms_);
  server_.Gone(*this);
}

void MqttServerConnection::Received(std::string_view bytes, int64_t now_ms) {
  if (state_ == State::kClosed) return;
  Work(bytes, now_ms);
}

// Without anything kept, frames are worked on where they lie; what is incomplete or has to wait is kept.
void MqttServerConnection::Work(std::string_view fresh, int64_t now_ms) {
  if (state_ == State::kClosed || working_) return;
  working_ = true;
  constexpr size_t kCompact = 64u << 10;
  if (input_at_ == input_.size()) {
    input_.clear();
    if (input_.capacity() > kCompact) input_.shrink_to_fit();
    input_at_ = 0;
    const size_t used = WorkOn(fresh, now_ms);
    if (state_ != State::kClosed) input_.append(fresh.substr(used));
  } else {
    input_.append(fresh);
    if (pause_ != Pause::kNone || input_.size() - input_at_ >= input_need_) {
      input_at_ += WorkOn(std::string_view(input_).substr(input_at_), now_ms);
      if (input_at_ > kCompact) {
        input_.erase(0, input_at_);
        input_at_ = 0;
      }
    }
  }
  working_ = false;
  if (state_ == State::kClosed) {
    std::string().swap(input_);
    input_at_ = 0;
    return;
  }
  Arm(now_ms);
}

// Returns how many bytes are done with.
size_t MqttServerConnection::WorkOn(std::string_view bytes, int64_t now_ms) {
  size_t used = 0;
  while (state_ != State::kClosed) {
    if (state_ == State::kAuthenticating || output_.size() >= server_.options().max_output_bytes) {
      SetPause(state_ == State::kAuthenticating ? Pause::kAuthentication : Pause::kOutput, now_ms);
      return used;
    }
    if (skip_left_ > 0) {
      const size_t skipped = std::min(skip_left_, bytes.size() - used);
      used += skipped;
      skip_left_ -= skipped;
      heard_ms_ = now_ms;
      input_need_ = 1;
      if (skip_left_ > 0) {
        SetPause(Pause::kNone, now_ms);
        return used;
      }
    }
    const std::string_view rest = bytes.substr(used);
    if (state_ == State::kConnecting && !rest.empty() && static_cast<uint8_t>(rest[0]) >> 4 != 1) {
      ++server_.count().protocol_errors;
      End(MqttReason::kProtocolError, "the first packet is not CONNECT [MQTT-3.1.0-1]", false, now_ms);
      return used;
    }
    MqttFrame frame;
    MqttFault fault;
    const MqttSessionOptions& options = server_.options();
    const size_t max_bytes = state_ == State::kConnecting ? options.max_connect_bytes : options.max_packet_bytes;
    switch (FindMqttFrame(rest, level_, max_bytes, &frame, &input_need_, &fault)) {
      case MqttFraming::kMore: SetPause(Pause::kNone, now_ms); return used;
      case MqttFraming::kFault:
        if (fault.reason == MqttReason::kPacketTooLarge && frame.type == MqttType::kPublish && state_ == State::kConnected) {
          const Pause wait = level_ == MqttLevel::k311 ? MayHandle(frame, now_ms) : Pause::kNone;
          const size_t done = wait == Pause::kNone ? OnLargePublish(frame, rest, fault, now_ms) : 0;
          used += done;
          if (done > 0) continue;
          SetPause(wait, now_ms);   // it has to wait, more of its head is needed, or it is over
          return used;
        }
        Fault(fault, now_ms);
        return used;
      case MqttFraming::kWhole: break;
    }
    const Pause pause = MayHandle(frame, now_ms);
    if (pause != Pause::kNone || !Handle(frame, now_ms)) {
      SetPause(pause != Pause::kNone ? pause : Pause::kWaiting, now_ms);
      return used;
    }
    used += frame.size();
    heard_ms_ = now_ms;
  }
  return used;
}

// Only publishes wait: what precedes the next one is worked on even where that one has to wait.
MqttServerConnection::Pause MqttServerConnection::MayHandle(const MqttFrame& frame, int64_t now_ms) {
  if (frame.type != MqttType::kPublish || state_ != State::kConnected) return Pause::kNone;
  if (server_.host().TurnIsOver()) return Pause::kTurn;
  const MqttSessionOptions& options = server_.options();
  if (MayPublishMs(now_ms) > now_ms) return Pause::kRate;
  if ((frame.flags & 0x06) == 0) return Pause::kNone;
  // 3.1.1 knows no receive maximum. Only publishes that are not acknowledged count, for the PUBRELs come behind this one.
  if (level_ == MqttLevel::k311 && session_->inbound.in_order() >= options.receive_maximum) return Pause::kWindow;
  const size_t bytes = MqttKept::BytesOf(frame.size() + client_id_.size());
  const bool full = waiting_bytes_ + bytes > options.max_waiting_bytes ||
                    server_.waiting_bytes() + bytes > options.max_total_waiting_bytes;
  return waits() && full ? Pause::kWaiting : Pause::kNone;
}

bool MqttServerConnection::Handle(const MqttFrame& frame, int64_t now_ms) {
  if (state_ == State::kConnecting) {
    OnConnect(frame, now_ms);
    return true;
  }
  switch (frame.type) {
    case MqttType::kPublish: return OnPublish(frame, now_ms);
    case MqttType::kPuback:
    case MqttType::kPubrec:
    case MqttType::kPubrel:
    case MqttType::kPubcomp: OnAck(frame, now_ms); return true;
    case MqttType::kSubscribe: OnSubscribe(frame, now_ms); return true;
    case MqttType::kUnsubscribe: OnUnsubscribe(frame, now_ms); return true;
    case MqttType::kDisconnect: OnDisconnect(frame, now_ms); return true;
    default: break;
  }
  MqttPacket packet;
  MqttFault fault;
  if (!DecodeMqtt(frame, level_, MqttSender::kClient, &packet, &fault)) {
    Fault(fault, now_ms);
  } else if (frame.type == MqttType::kPingreq) {
    const size_t before = output_.size();
    EncodeMqtt(MqttPing{MqttType::kPingresp}, level_, &output_);
    NoteOutput(before);
  } else {
    ++server_.count().protocol_errors;
    Drop(MqttReason::kProtocolError,
         frame.type == MqttType::kConnect ? "a second CONNECT [MQTT-3.1.0-2]"
                                          : "AUTH without an authentication method in CONNECT [MQTT-4.12.0-7]",
         now_ms);
  }
  return true;
}

void MqttServerConnection::SetPause(Pause pause, int64_t now_ms) {
  if (pause == pause_) return;
  pause_ = pause;
  MqttSessionFigures& count = server_.count();
  switch (pause) {
    case Pause::kRate: ++count.rate_pauses; break;
    case Pause::kWindow: ++count.window_pauses; break;
    case Pause::kWaiting: ++count.waiting_pauses; break;
    case Pause::kOutput: ++count.output_pauses; break;
    case Pause::kTurn: ++count.turn_pauses; break;
    default: break;
  }
  const bool reading = pause == Pause::kNone;
  if (reading == reading_) return;
  reading_ = reading;
  if (reading) heard_ms_ = now_ms;   // the client could not be heard meanwhile
  Wake();
}

int64_t MqttServerConnection::MayPublishMs(int64_t now_ms) {
  if (!publish_at_ms_) publish_at_ms_ = std::max(rate_.Reserve(now_ms), server_.rate().Reserve(now_ms));
  return std::max(*publish_at_ms_, now_ms);
}

void MqttServerConnection::NoteOutput(size_t before) {
  if (before == 0 && !output_.empty()) Wake();
}

void MqttServerConnection::TakeOutput(std::string* out, int64_t now_ms) {
  out->clear();
  out->swap(output_);
  if (state_ == State::kClosed) return;
  if (state_ == State::kConnected) {
    session_->inbound.AcksTaken();
    SendDeliveries(now_ms);
  }
  if (pause_ == Pause::kOutput) Work({}, now_ms);
}

void MqttServerConnection::WindowMoved(int64_t now_ms) {
  SendAcks();
  if (pause_ == Pause::kWindow) Work({}, now_ms);
}

void MqttServerConnection::CountEnd(MqttReason reason) {
  MqttSessionFigures& count = server_.count();
  switch (reason) {
    case MqttReason::kMalformedPacket: ++count.malformed; break;
    case MqttReason::kProtocolError: ++count.protocol_errors; break;
    case MqttReason::kUnsupportedProtocolVersion: ++count.unsupported_version; break;
    case MqttReason::kPacketTooLarge: ++count.packet_too_large; break;
    case MqttReason::kReceiveMaximumExceeded: ++count.receive_maximum_exceeded; break;
    case MqttReason::kTopicAliasInvalid: ++count.topic_alias_invalid; break;
    case MqttReason::kClientIdentifierNotValid: ++count.client_id_invalid; break;
    case MqttReason::kQuotaExceeded: ++count.quota_exceeded; break;
    case MqttReason::kTopicNameInvalid: ++count.topic_invalid; break;
    case MqttReason::kPayloadFormatInvalid: ++count.payload_format_invalid; break;
    case MqttReason::kNotAuthorized: ++count.not_authorized; break;
    default: break;
  }
}

void MqttServerConnection::Fault(const MqttFault& fault, int64_t now_ms) {
  CountEnd(fault.reason);
  if (state_ == State::kConnecting) {
    // 3.1.1 wants no CONNACK for what is no CONNECT, but for an unknown level (3.1.4-1, 3.1.2-2).
    if (level_ == MqttLevel::k5 || (level_ == MqttLevel::k311 && fault.reason == MqttReason::kUnsupportedProtocolVersion)) {
      Refuse(fault.reason, fault.Text(), now_ms);
    } else {
      End(fault.reason, fault.Text(), false, now_ms);
    }
    return;
  }
  Drop(fault.reason, fault.Text(), now_ms);
}

void MqttServerConnection::Drop(MqttReason reason, std::string_view why, int64_t now_ms, bool publish_will) {
  if (state_ == State::kClosed) return;
  if (state_ == State::kAuthenticating) {
    const bool fits = MqttReasonFits(MqttType::kConnack, MqttSender::kServer, reason);
    Refuse(fits ? reason : MqttReason::kServerUnavailable, why, now_ms);
    return;
  }
  if (state_ == State::kConnected && level_ == MqttLevel::k5) {
    const bool fits = MqttReasonFits(MqttType::kDisconnect, MqttSender::kServer, reason);
    MqttDisconnect disconnect;
    disconnect.reason = fits ? reason : MqttReason::kUnspecifiedError;
    if (!why.empty()) disconnect.properties.SetText(MqttProperty::kReasonString, why);
    Send(disconnect);
  }
  End(reason, why, publish_will, now_ms);
}

void MqttServerConnection::Disconnect(MqttReason reason, std::string_view text, int64_t now_ms) { Drop(reason, text, now_ms); }

void MqttServerConnection::Closed(std::string_view why, int64_t now_ms) {
  if (state_ == State::kClosed) return;
  End(MqttReason::kSuccess, why, true, now_ms);
}

void MqttServerConnection::End(MqttReason reason, std::string_view why, bool publish_will, int64_t now_ms) {
  state_ = State::kClosed;
  closed_reason_ = reason;
  closed_why_ = std::string(why);
  MqttSessionFigures& count = server_.count();
  count.waiting -= waiting_.size();
  count.waiting_bytes -= waiting_bytes_;
  waiting_.clear();
  waiting_bytes_ = 0;
  Wake();
  if (MqttServerSession* session = std::exchange(session_, nullptr)) server_.Detach(*session, publish_will, now_ms);
}

void MqttServerConnection::Arm(int64_t now_ms) {
  const MqttSessionOptions& options = server_.options();
  int64_t when_ms = kMqttNever;
  switch (state_) {
    case State::kConnecting: when_ms = opened_ms_ + options.connect_timeout_ms; break;
    case State::kAuthenticating: when_ms = heard_ms_ + options.authenticate_timeout_ms; break;
    case State::kConnected:
      if (keep_alive_s_ > 0 && reading_) when_ms = heard_ms_ + int64_t{1500} * keep_alive_s_;
      if (pause_ == Pause::kRate) {
        when_ms = std::min(when_ms, std::max(MayPublishMs(now_ms), now_ms + 1));
      }
      if (level_ == MqttLevel::k5 && options.patience_ms > 0 && !told_full_ && waits()) {
        when_ms = std::min(when_ms, waiting_.front().since_ms + options.patience_ms);
      }
      break;
    case State::kClosed: return;
  }
  server_.Arm(*this, when_ms);
}

void MqttServerConnection::OnTimer(int64_t now_ms) {
  const MqttSessionOptions& options = server_.options();
  MqttSessionFigures& count = server_.count();
  if (state_ == State::kConnecting && now_ms >= opened_ms_ + options.connect_timeout_ms) {
    ++count.connect_timeouts;
    return End(MqttReason::kMaximumConnectTime, StrCat("no CONNECT within ", options.connect_timeout_ms, " ms"), false, now_ms);
  }
  if (state_ == State::kAuthenticating && now_ms >= heard_ms_ + options.authenticate_timeout_ms) {
    ++count.authentication_timeouts;
    return Drop(MqttReason::kServerUnavailable, "authentication takes too long", now_ms);
  }
  if (state_ == State::kConnected) {
    if (keep_alive_s_ > 0 && reading_ && now_ms >= heard_ms_ + int64_t{1500} * keep_alive_s_) {
      ++count.keep_alive_timeouts;
      return Drop(MqttReason::kKeepAliveTimeout, StrCat("nothing heard for 1.5 times ", keep_alive_s_, " s"), now_ms);
    }
    if (level_ == MqttLevel::k5 && options.patience_ms > 0 && !told_full_ && waits() &&
        now_ms >= waiting_.front().since_ms + options.patience_ms) {
      ++count.impatient;
      return Drop(MqttReason::kQuotaExceeded, options.store_full_notice, now_ms);
    }
    if (pause_ == Pause::kRate) return Work({}, now_ms);   // arms anew
  }
  Arm(now_ms);
}

MqttConnectionStatus MqttServerConnection::status() const {
  MqttConnectionStatus status;
  status.connection = id_;
  status.state = state_;
  status.level = level_;
  if (identity_ != nullptr) status.device = identity_->device;
  status.client_id = client_id_;
  if (session_ != nullptr) {
    status.inflight = session_->inbound.in_order() - waiting_.size();
    status.queued = session_->outbound.size();
    status.subscriptions = session_->subscriptions.size();
  }
  status.waiting = waiting_.size();
  status.closed_why = closed_why_;
  status.closed_reason = closed_reason_;
  return status;
}

}  // namespace sluice::transport
