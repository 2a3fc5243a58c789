#include "machine/live/bus.h"

#include <algorithm>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "machine/live/clock.h"
#include "machine/live/delivery.h"
#include "machine/live/facts.h"
#include "machine/live/lines.h"
#include "machine/live/lock.h"
#include "machine/live/run.h"
#include "machine/live/sources.h"

namespace kdpc::live::bus {

namespace {

// How far a board that cannot look ahead may lag: asking QEMU how things stand takes some 50 µs by itself.
constexpr std::uint64_t kBlindLag = 200'000;

class Attachment : public BoardHost {
 public:
  explicit Attachment(Board& board) : board_(board), reached_(clock::now()) {
    board.attach(*this);
    const Locked locked(lock_);
    for (unsigned line = 0; line < board.lines(); ++line) {
      const unsigned of_machine = lines::add(board.line_is_level(line));
      if (line == 0) at_.first_line = of_machine;
    }
    at_.first_message = lines::add_messages(board.messages());
    plan();
    const Locked said(early_);
    attached_ = true;
    for (const auto& [line, asserted] : said_early_) lines::set(at_.first_line + line, asserted);
  }

  Nanoseconds now() const override { return clock::now(); }
  void set_line(unsigned line, bool asserted) override {
    if (!attached_) {
      const Locked locked(early_);
      if (!attached_) {
        said_early_.emplace_back(line, asserted);
        return;
      }
    }
    lines::set(at_.first_line + line, asserted);
  }
  void send_message(unsigned message) override {
    if (attached_) lines::send_message(at_.first_message + message);  // before, none of them has a vector
  }
  void fail(std::string what) override { run::finish({host::Ended::HostFailure, std::move(what), {}}); }
  void enter(const std::function<void()>& work) override { with_board(work); }
  std::unique_ptr<Watch> watch(int descriptor, Watching how, std::function<void()> ready) override {
    auto watch = sources::watch(descriptor, how, [this, ready = std::move(ready)] { enter(ready); });
    if (watch.ok()) return std::move(watch).value();
    fail(watch.error().what);
    return nullptr;
  }

  // One step towards `until`; it stops early when the board interrupts. False: nothing is left to do.
  bool step(std::uint64_t until) {
    const Locked locked(lock_);
    if (reached_ >= until || run::has_ended()) return false;
    reached_ = std::max(reached_, board_.advance_to(until));
    plan();
    return true;
  }
  // By a processor: what the board interrupts for on the way comes first, in the windows between the steps.
  void bring_up() {
    for (const std::uint64_t until = clock::now(); step(until);) {
    }
  }
  // What an access to its registers does; it may bring the board's next event nearer.
  template <class Access>
  void with_board(const Access& access) {
    const Locked locked(lock_);
    const std::uint64_t before = due_;
    access();
    plan();
    if (due_ < before) run::ask_host(run::kBoards);
  }

  // Whoever is at the other end of a device may have changed it without the bus.
  std::uint64_t due() {
    const Locked locked(lock_);
    plan();
    return due_;
  }
  bool acts_by_itself() const { return board_.acts_by_itself(); }
  const host::Attached& at() const { return at_; }

 private:
  void plan() {
    const Nanoseconds next = board_.next_event();
    due_ = next == kNever || next == Board::kWhenever ? kForever : next == Board::kUnknown ? reached_ + kBlindLag : next;
  }

  Lock lock_;  // the board is in one context at a time
  Board& board_;
  std::uint64_t reached_;
  std::uint64_t due_ = kForever;
  host::Attached at_;
  std::atomic<bool> attached_{false};  // until then its lines have no numbers
  Lock early_;
  std::vector<std::pair<unsigned, bool>> said_early_;
};

struct Mapping {
  RegisterRange range;
  Device* device;
  unsigned range_number;
  Attachment* board;
};

std::vector<std::unique_ptr<Attachment>> attachments;
// A processor can stand still in the middle of looking, while the host attaches another board.
std::list<Mapping> mappings;

const Mapping* find(BusSpace space, std::uint64_t address, unsigned width) {
  for (const Mapping& mapping : mappings)
    if (mapping.range.space == space && address >= mapping.range.base && address - mapping.range.base + width <= mapping.range.size) return &mapping;
  return nullptr;
}

}  // namespace

host::Attached attach(Board& board) {
  attachments.push_back(std::make_unique<Attachment>(board));
  Attachment& attachment = *attachments.back();
  for (Device* device : board.devices()) {
    unsigned range_number = 0;
    for (const RegisterRange& range : device->registers()) mappings.push_back({range, device, range_number++, &attachment});
  }
  return attachment.at();
}

void forget() {
  mappings.clear();
  attachments.clear();
}

void advance(std::uint64_t now) {
  for (const auto& attachment : attachments)
    if (attachment->due() <= now) attachment->step(now);
}

std::uint64_t due() {
  std::uint64_t first = kForever;
  for (const auto& attachment : attachments) first = std::min(first, attachment->due());
  return first;
}

bool is_empty() { return attachments.empty(); }
bool is_quiet() {
  for (const auto& attachment : attachments)
    if (attachment->acts_by_itself()) return false;
  return due() == kForever && !sources::are_there();
}

bool read(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t& value) {
  const Mapping* mapping = find(space, address, width);
  if (mapping == nullptr) return false;
  mapping->board->bring_up();
  mapping->board->with_board([&] { value = mapping->device->read(mapping->range_number, address - mapping->range.base, width); });
  if (shared().observed) tell(RegisterAccessed{address, value, static_cast<std::uint8_t>(width), false});
  return true;
}

bool write(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t value) {
  const Mapping* mapping = find(space, address, width);
  if (mapping == nullptr) return false;
  mapping->board->bring_up();
  if (shared().observed) tell(RegisterAccessed{address, value, static_cast<std::uint8_t>(width), true});
  mapping->board->with_board([&] { mapping->device->write(mapping->range_number, address - mapping->range.base, width, value); });
  return true;
}

}  // namespace kdpc::live::bus
