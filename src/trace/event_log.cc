#include "trace/event_log.h"

namespace kdpc {

void EventLog::event(const Stamp& stamp, const Event& event) {
  if (capacity_ == 0) return;
  Entry entry{stamp, event};
  if (DebugPrinted* printed = std::get_if<DebugPrinted>(&entry.event)) printed->text = texts_.emplace(printed->text, printed->length).first->c_str();
  if (const std::size_t place = end_ % capacity_; place < ring_.size()) {
    ring_[place] = entry;
  } else {
    ring_.push_back(entry);
  }
  ++end_;
  if (end_ - first_ > capacity_) first_ = end_ - capacity_;
}

void EventLog::rewind(std::size_t mark) {
  end_ = mark;
  if (first_ > end_) first_ = end_;  // what was overwritten since is gone
}

}  // namespace kdpc
