// The newest events of a run, in memory, for questions afterwards.
#pragma once
#include <string>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include "machine/sink.h"

namespace kdpc {

class EventLog : public EventSink {
 public:
  struct Entry {
    Stamp stamp;
    Event event;
  };

  explicit EventLog(std::size_t capacity) : capacity_(capacity) {}

  void event(const Stamp& stamp, const Event& event) override;

  // Events are numbered from 0; those in [first(), end()) are remembered.
  std::uint64_t first() const { return first_; }
  std::uint64_t end() const { return end_; }
  const Entry& operator[](std::uint64_t number) const { return ring_[number % capacity_]; }
  void forget() { first_ = end_; }

  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::uint64_t number = first_; number < end_; ++number) visit((*this)[number]);
  }
  // All of one kind: log.each<DpcQueued>([](const Stamp& stamp, const DpcQueued& queued) { … })
  template <class Fact, class Visit>
  void each(Visit&& visit) const {
    for_each([&visit](const Entry& entry) {
      if (const Fact* fact = std::get_if<Fact>(&entry.event)) visit(entry.stamp, *fact);
    });
  }

  std::size_t mark() override { return end_; }
  void rewind(std::size_t mark) override;

 private:
  std::size_t capacity_;
  std::vector<Entry> ring_;  // event n is at n % capacity_
  std::uint64_t first_ = 0;
  std::uint64_t end_ = 0;
  std::unordered_set<std::string> texts_;  // an event's text lives only as long as the call
};

static_assert(std::is_trivially_copyable_v<Event>);

}  // namespace kdpc
