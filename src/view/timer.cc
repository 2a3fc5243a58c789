#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "view/views.h"

namespace kdpc::view {

namespace {

constexpr std::uint64_t kHands = TimerTable::kHands;
constexpr std::uint64_t kNever = std::uint64_t{1} << 62;  // later than any date

std::string halves(std::uint64_t time) { return fmt::format("{:08x} {:08x}", time & 0xffffffff, time >> 32); }

// 100 ns since 1601, as WinDbg writes it.
std::string date(std::uint64_t system_time) {
  constexpr std::int64_t k1970 = 116444736000000000;
  const std::int64_t since = static_cast<std::int64_t>(system_time) - k1970;
  const std::time_t seconds = since / 10'000'000;
  std::tm parts{};
  if (since < 0 || ::gmtime_r(&seconds, &parts) == nullptr) return "         NEVER         ";
  return fmt::format("{:2}/{:2}/{:4} {:02}:{:02}:{:02}.{:03}", parts.tm_mon + 1, parts.tm_mday, parts.tm_year + 1900, parts.tm_hour, parts.tm_min,
                     parts.tm_sec, since % 10'000'000 / 10'000);
}

class Table {
 public:
  Table(const World& world, bool global) : world_(world), global_(global) {}

  std::string of(unsigned number) {
    const auto processor = world_.processor(number);
    std::string text;
    if (!global_) text = fmt::format("PROCESSOR {} (nt!_KTIMER_TABLE {:016x})\n", number, processor.address_of(processor->timers));
    if (!processor) return text + "It cannot be read.\n";
    text += "List Timer             Interrupt Low/High     Fire Time                  DPC/thread\n";
    std::uint64_t last_hand = kHands;
    std::size_t on_hand = 0;
    processor->timers.any_slot([&](const List& slot) {
      std::vector<Copy<Timer>> timers;
      const Walk walk =
          world_.walk(processor.address_of(slot), [&](std::uintptr_t link) { timers.push_back(world_.read<Timer>(link - offsetof(Timer, link))); });
      std::stable_sort(timers.begin(), timers.end(), [](const auto& a, const auto& b) { return a->due_time < b->due_time; });
      for (const Copy<Timer>& timer : timers) {
        if (!timer) {
          text += fmt::format("Failed to read timer at 0x{:016x}\n", timer.address());
          continue;
        }
        const std::uint64_t hand = timer->due_time / kClockIncrement % kHands;
        on_hand = hand == last_hand ? on_hand + 1 : 1;
        longest_ = std::max(longest_, on_hand);
        ++total_;
        text += row(*timer, timer.address(), hand != last_hand ? fmt::format("{:>3}", hand) : "");
        last_hand = hand;
      }
      if (walk.end == Walk::End::Unreadable) text += fmt::format("Failed to read timer at 0x{:016x}\n", walk.at - offsetof(Timer, link));
      text += trouble(walk, "timer table");
      return walk.end != Walk::End::Whole;
    });
    return text;
  }

  std::string totals() const {
    const std::uint64_t now = world_.system().interrupt_time;
    return fmt::format("Total Timers: {}, Maximum List: {}\nCurrent Hand: {}, Maximum Search: {}\n\nWakeable timers:\n", total_, longest_,
                       now / kClockIncrement % kHands, longest_);
  }

 private:
  std::string row(const Timer& timer, std::uintptr_t address, std::string_view hand) const {
    const auto offset = static_cast<std::uint64_t>(std::int64_t{world_.system().system_time_offset});
    const std::string fires = timer.due_time >= kNever ? "         NEVER         " : date(timer.due_time + offset);
    std::string text = fmt::format("{:>3}  {:016x} {} {} [{}]  {}", hand, address, timer.period != 0 ? "P" : " ", halves(timer.due_time), fires,
                                   whose(timer, address));
    if (timer.period != 0 && timer.kind == 0) text += fmt::format(", every {} ms", timer.period);
    if (timer.period != 0 && timer.kind != 0) text += fmt::format(", every {} us", timer.period / 10);
    return text + '\n';
  }

  // A DPC, or who waits for it.
  std::string whose(const Timer& timer, std::uintptr_t address) const {
    if (timer.dpc != nullptr) {
      const auto dpc = world_.read<Dpc>(timer.dpc);
      if (!dpc) return fmt::format("Failed to read DPC at 0x{:016x}", at(timer.dpc));
      const std::string name = world_.name(routine_of(timer, address, *dpc));
      return global_ ? name : fmt::format("{} (DPC @ {:016x})", name, at(timer.dpc));
    }
    std::string text;
    world_.walk(address + offsetof(Timer, header) + offsetof(DispatcherHeader, waiters), [&](std::uintptr_t link) {
      const auto block = world_.read<WaitBlock>(link - offsetof(WaitBlock, link));
      if (text.empty() && block) text = fmt::format("thread {:016x}", at(block->thread));
    });
    return text.empty() ? "-" : text;
  }

  // An Ex timer's DPC is the kernel's; the driver's is the callback.
  std::uintptr_t routine_of(const Timer& timer, std::uintptr_t address, const Dpc& dpc) const {
    if (timer.kind == 0) return at(dpc.routine);
    const auto ex = world_.read<ExTimer>(address);
    return ex && ex->signature == ExTimer::kSignature && ex->callback != nullptr ? at(ex->callback) : at(dpc.routine);
  }

  const World& world_;
  bool global_;
  std::size_t total_ = 0, longest_ = 0;
};

}  // namespace

std::string timer(const World& world, const Request& request) {
  const System& system = world.system();
  const std::uint64_t now = system.interrupt_time;
  const bool global = system.options.timer_table == Options::TimerTables::Global;
  std::string text = fmt::format("Dump system timers\n\nInterrupt time: {} [{} (UTC)]\n\n", halves(now),
                                 date(now + static_cast<std::uint64_t>(std::int64_t{system.system_time_offset})));
  Table table(world, global);
  for (unsigned number = 0; number < (global ? 1 : world.processors()); ++number)
    if (global || request.wants(number)) text += table.of(number) + '\n';
  return text + table.totals();
}

}  // namespace kdpc::view
