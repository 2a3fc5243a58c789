#include "machine/sim/bus.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/invariant.h"
#include "machine/sim/controller.h"
#include "machine/sim/run.h"
#include "machine/sim/sim_machine.h"

namespace kdpc::sim::bus {

namespace {

// What a board has said while it advanced: at which time it happened is known when it has stopped.
struct Saying {
  enum class Kind : std::uint8_t { Line, Message, Dma } kind;
  unsigned number = 0;
  bool asserted = false;
  DmaAccessed access = {};
};

class Attachment : public BoardHost {
 public:
  Attachment(Board& board, unsigned number, unsigned first_source) : board_(board), number_(number), first_source_(first_source) {}

  void attach() {
    board_.attach(*this);
    sources_ = board_.sources();
  }
  // When its sources have their times.
  void wire() {
    if (board_.acts_by_itself()) fail("a board has threads of its own, whose time is the host's: it needs the live machine");
    for (unsigned line = 0; line < board_.lines(); ++line) {
      const unsigned of_machine = controller::add_line(number_, line, board_.line_is_level(line));
      if (line == 0) at_.first_line = of_machine;
    }
    at_.first_source = first_source_;
    at_.first_message = controller::add_messages(board_.messages());
    collecting_ = false;
    say_all(controller::time_here());
  }

  // K.BUS-4
  Nanoseconds now() const override {
    if (collecting_) return target_;
    const Nanoseconds* const reached = state().reached;
    const Nanoseconds latest = accessed_ ? reached[*accessed_] : *std::max_element(reached + first_source_, reached + end_of_sources());
    return std::max(controller::time_here(), latest);
  }
  void set_line(unsigned line, bool asserted) override { say({Saying::Kind::Line, line, asserted}); }
  void send_message(unsigned message) override { say({Saying::Kind::Message, message}); }
  void dma_accessed(const std::byte* at, std::size_t size, bool write) override {
    say({.kind = Saying::Kind::Dma, .access = {at, static_cast<std::uint32_t>(size), write}});
  }
  void fail(std::string what) override { run::finish({host::Ended::HostFailure, std::move(what), {}}); }

  std::unique_ptr<Watch> watch(int, Watching, std::function<void()>) override {
    fail("a board follows a file descriptor of the host's, and nobody knows beforehand what comes from there: it needs the live machine");
    return nullptr;
  }

  void advance(unsigned source, Nanoseconds until) {
    Nanoseconds& reached = state().reached[source];
    collecting_ = true;
    target_ = until;
    const HostCode host_code;
    const Nanoseconds got = board_.advance_source(source - first_source_, until);
    collecting_ = false;
    if (got > reached) reached = got;
    say_all(reached);
  }

  Nanoseconds next_event_of(unsigned source) const { return board_.next_event_of(source - first_source_); }

  Board& board() { return board_; }
  const host::Attached& at() const { return at_; }
  unsigned end_of_sources() const { return first_source_ + sources_; }
  unsigned source_of(const Device& device) const { return first_source_ + board_.source_of(device); }
  template <class Access>
  void access(unsigned source, const Access& its) {
    const HostCode host_code;
    accessed_ = source;
    its();
    accessed_.reset();
  }

 private:
  void say(Saying saying) {
    if (collecting_) {
      said_.push_back(saying);
    } else {
      take_effect(saying, controller::time_here(), controller::Cause::Caller);
    }
  }
  void take_effect(const Saying& saying, Nanoseconds when, controller::Cause cause) {
    switch (saying.kind) {
      case Saying::Kind::Line: controller::set_line(at_.first_line + saying.number, saying.asserted, when, cause); return;
      case Saying::Kind::Message: controller::send_message(at_.first_message + saying.number, when); return;
      case Saying::Kind::Dma: tell_at(fixed().inside ? current() : state().slots[0], when, saying.access); return;
    }
  }
  void say_all(Nanoseconds when) {
    for (const Saying& saying : said_) take_effect(saying, when, controller::Cause::Device);
    said_.clear();
  }

  Board& board_;
  unsigned number_, first_source_, sources_ = 0;
  host::Attached at_;
  bool collecting_ = true;  // until it is attached its lines have no numbers
  Nanoseconds target_ = 0;
  std::optional<unsigned> accessed_;  // the source whose registers are
  std::vector<Saying> said_;
};

struct Mapping {
  RegisterRange range;
  Device* device;
  unsigned range_number;
  unsigned source;
};

std::vector<std::unique_ptr<Attachment>> attachments;
std::vector<Attachment*> sources;  // by number: whose they are
std::vector<Mapping> mappings;

const Mapping* find(BusSpace space, std::uint64_t address, unsigned width) {
  for (const Mapping& mapping : mappings)
    if (mapping.range.space == space && address >= mapping.range.base && address - mapping.range.base + width <= mapping.range.size) return &mapping;
  return nullptr;
}

// Brings the device to the time of this access. An interrupt that it raises on the way comes first, here and on other processors.
void bring_up(const Mapping& mapping) {
  for (;;) {
    Machine::window();
    const std::uint64_t time = Machine::now();
    if (state().reached[mapping.source] >= time) return;
    sources[mapping.source]->advance(mapping.source, time);
    if (run::ended()) return;
  }
}

std::uint64_t cost_of(BusSpace space) { return space == BusSpace::Port ? state().costs.register_port : state().costs.register_memory; }

}  // namespace

host::Attached attach(Board& board) {
  const auto number = static_cast<unsigned>(attachments.size());
  const auto first_source = static_cast<unsigned>(sources.size());
  attachments.push_back(std::make_unique<Attachment>(board, number, first_source));
  Attachment& attachment = *attachments.back();
  attachment.attach();
  KDPC_INVARIANT("K.BUS-3", attachment.end_of_sources() <= kMaxSources);
  sources.resize(attachment.end_of_sources(), &attachment);
  state().boards_used = number + 1;
  state().sources_used = attachment.end_of_sources();
  std::fill(state().reached + first_source, state().reached + attachment.end_of_sources(), state().time);
  attachment.wire();
  for (Device* device : board.devices()) {
    unsigned range_number = 0;
    for (const RegisterRange& range : device->registers()) mappings.push_back({range, device, range_number++, attachment.source_of(*device)});
  }
  return attachment.at();
}

void forget_boards() {
  attachments.clear();
  sources.clear();
  mappings.clear();
}

void forget_boards_after(unsigned count) {
  if (attachments.size() <= count) return;
  attachments.resize(count);
  sources.resize(count == 0 ? 0 : attachments.back()->end_of_sources());
  std::erase_if(mappings, [](const Mapping& mapping) { return mapping.source >= sources.size(); });
}

Board& board(unsigned number) { return attachments[number]->board(); }

Nanoseconds next_event(unsigned source) { return sources[source]->next_event_of(source); }
bool cannot_look_ahead(unsigned source) { return next_event(source) == Board::kUnknown; }
bool waits_to_be_chosen(unsigned source) { return next_event(source) == Board::kWhenever; }

std::uint64_t due(unsigned source, bool busy) {
  const Nanoseconds next = next_event(source);
  if (next == kNever || next == Board::kWhenever) return kForever;
  if (next != Board::kUnknown) return next;
  return busy ? state().reached[source] + state().costs.board_poll : kForever;
}

void advance(unsigned source, std::uint64_t until) { sources[source]->advance(source, until); }

bool read(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t& value) {
  const Mapping* mapping = find(space, address, width);
  if (mapping == nullptr) return false;
  Machine::charge(cost_of(space));
  bring_up(*mapping);
  sources[mapping->source]->access(mapping->source,
                                   [&] { value = mapping->device->read(mapping->range_number, address - mapping->range.base, width); });
  Machine::observe(RegisterAccessed{address, value, static_cast<std::uint8_t>(width), false});
  Machine::refresh_limit();
  Machine::window();
  return true;
}

bool write(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t value) {
  const Mapping* mapping = find(space, address, width);
  if (mapping == nullptr) return false;
  Machine::charge(cost_of(space));
  bring_up(*mapping);
  Machine::observe(RegisterAccessed{address, value, static_cast<std::uint8_t>(width), true});
  sources[mapping->source]->access(mapping->source,
                                   [&] { mapping->device->write(mapping->range_number, address - mapping->range.base, width, value); });
  Machine::refresh_limit();
  Machine::window();
  return true;
}

}  // namespace kdpc::sim::bus
