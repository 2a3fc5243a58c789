// What code inside the machine leaves for the host: a fixed array, filled at any IRQL on any stack, read when the machine does not run.
#include <fmt/format.h>

#include <atomic>

#include "kdpc/lab.h"
#include "lab/running.h"

namespace kdpc::lab {

namespace {

// The first failures explain the later ones, so these are kept and those are counted.
constexpr std::size_t kNotes = 256;
Note notes[kNotes];
std::atomic<std::size_t> notes_left{0};
std::atomic<std::uint64_t> lost{0};
std::atomic<bool> running{false};

}  // namespace

Running::Running() : before_(running.exchange(true)) {}
Running::~Running() { running = before_; }
bool is_running() { return running; }

void leave_note(const Note& note) {
  if (note.rule != nullptr)  // a rule is proven once, however often the loop around it runs
    for (std::size_t i = 0; i < notes_left && i < kNotes; ++i)
      if (notes[i].rule == note.rule) return;
  const std::size_t place = notes_left.fetch_add(1);
  if (place < kNotes) {
    notes[place] = note;
  } else {
    ++lost;
  }
}

std::vector<Note> take_notes() {
  const std::size_t count = notes_left.exchange(0);
  return {notes, notes + (count < kNotes ? count : kNotes)};
}

std::uint64_t notes_lost() { return lost.exchange(0); }

std::string Value::text() const {
  switch (kind) {
    case Kind::None: return {};
    case Kind::Signed: return fmt::format("{}", static_cast<std::int64_t>(bits));
    case Kind::Unsigned: return fmt::format("{} ({:#x})", bits, bits);
    case Kind::Boolean: return bits != 0 ? "true" : "false";
    case Kind::Address: return fmt::format("{:#x}", bits);
  }
  return {};
}

}  // namespace kdpc::lab
