// One number for a whole run: equal when the same run is repeated, whatever the process, the directory, the load of the host or its address
// randomisation.
//
// Each event is hashed on top of the hash of everything before it: stamp, name, fields in the order the event states them. Addresses: in the World
// and in drivers as they are, in images of the host as name and offset, in kdpc's own library as name alone, so that another build of it that does the
// same has the same hash; in other host memory by the order of their first appearance. Texts by content.
#pragma once
#include <unordered_map>
#include <vector>

#include "machine/sink.h"
#include "trace/address_space.h"

namespace kdpc {

class TraceHash : public EventSink {
 public:
  void event(const Stamp& stamp, const Event& event) override;
  std::uint64_t value() const { return state_.hash; }
  std::uint64_t events() const { return state_.events; }

  std::size_t mark() override;
  void rewind(std::size_t mark) override;

 private:
  struct State {
    std::uint64_t hash = 0;
    std::uint64_t events = 0;
    std::size_t host_addresses = 0;
  };
  std::uint64_t number_for(std::uintptr_t address);

  State state_;
  HostOrdinals ordinals_;
  std::unordered_map<std::uintptr_t, std::uint64_t> in_images_;  // what was looked up already
  std::vector<State> marks_;
};

}  // namespace kdpc
