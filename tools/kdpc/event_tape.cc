#include "tools/kdpc/event_tape.h"

#include "wdk/routine.h"

namespace kdpc::tool {

EventTape::EventTape(Symbols& symbols, std::FILE* file) : text_(symbols), file_(file) {
  text_.name_routines([](std::uint16_t routine) -> const char* {
    return routine < wdk::kRoutineCount ? wdk::row_of(static_cast<wdk::RoutineId>(routine)).name : nullptr;
  });
}

void EventTape::event(const Stamp& stamp, const Event& event) {
  entries_.push_back({stamp, event});
  if (auto* const printed = std::get_if<DebugPrinted>(&entries_.back().event)) {
    texts_.emplace_back(printed->text, printed->length);
    printed->text = texts_.back().c_str();
  }
}

void EventTape::write() {
  for (const Entry& entry : entries_) {
    const std::string line = text_.line(entry.stamp, entry.event) + '\n';
    std::fwrite(line.data(), 1, line.size(), file_);
  }
  entries_.clear();
  texts_.clear();
}

}  // namespace kdpc::tool
