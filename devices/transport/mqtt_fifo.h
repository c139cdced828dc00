// First in, first out, without memory while it is empty: a std::deque takes 600 bytes for nothing, and thousands of silent
// connections have a few each.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace sluice::transport {

template <typename T>
class MqttFifo {
 public:
  bool empty() const { return begin_ == items_.size(); }
  size_t size() const { return items_.size() - begin_; }
  T& front() { return items_[begin_]; }
  const T& front() const { return items_[begin_]; }
  T& back() { return items_.back(); }
  auto begin() { return items_.begin() + static_cast<std::ptrdiff_t>(begin_); }
  auto end() { return items_.end(); }

  void push_back(T item) { items_.push_back(std::move(item)); }
  void pop_front() {
    items_[begin_++] = T();   // lets go of what it holds
    if (begin_ == items_.size()) {
      clear();
    } else if (begin_ >= 32 && begin_ * 2 >= items_.size()) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(begin_));
      begin_ = 0;
    }
  }
  void clear() {
    std::vector<T>().swap(items_);
    begin_ = 0;
  }

 private:
  std::vector<T> items_;
  size_t begin_ = 0;
};

}  // namespace sluice::transport
