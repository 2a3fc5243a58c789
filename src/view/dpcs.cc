#include "view/dpcs.h"

#include <fmt/format.h>

#include "view/views.h"

namespace kdpc::view {

namespace {

constexpr std::string_view kHeading = "CPU Type      KDPC       Function";

bool is_dpc(const Dpc& dpc) {
  return dpc.type == static_cast<std::uint8_t>(DpcType::Ordinary) || dpc.type == static_cast<std::uint8_t>(DpcType::Threaded);
}

std::string importance_of(const Dpc& dpc) {
  switch (static_cast<Importance>(dpc.importance)) {
    case Importance::Low: return "Low";
    case Importance::Medium: return "Medium";
    case Importance::High: return "High";
    case Importance::MediumHigh: return "MediumHigh";
  }
  return fmt::format("{:#x}?", dpc.importance);
}

std::string target_of(const Dpc& dpc) {
  if (dpc.number == 0) return "any";
  return dpc.number < Dpc::kTargeted ? fmt::format("{:#x}?", std::uint16_t{dpc.number}) : fmt::format("{}", dpc.number - Dpc::kTargeted);
}

struct Line {
  std::string first;  // what WinDbg prints
  std::string importance, target, by, since;
};

std::string table(const std::vector<Line>& lines) {
  std::size_t first = kHeading.size(), by = std::string_view("Queued by").size();
  for (const Line& line : lines) {
    if (line.importance.empty()) continue;
    first = std::max(first, line.first.size());
    by = std::max(by, line.by.size());
  }
  const auto row = [&](std::string_view a, std::string_view b, std::string_view c, std::string_view d, std::string_view e) {
    return fmt::format("{:<{}}  {:<10}  {:<6}  {:<{}}  {}\n", a, first, b, c, d, by, e);
  };
  std::string text = row(kHeading, "Importance", "Target", "Queued by", "Since");
  for (const Line& line : lines)
    text += line.importance.empty() ? line.first + '\n' : row(line.first, line.importance, line.target, line.by, line.since);
  return text;
}

}  // namespace

Queue read_queue(const World& world, const Copy<Processor>& processor, bool threaded) {
  const DpcQueue& queue = threaded ? processor->threaded_dpcs : processor->dpcs;
  const auto read = [&](std::uintptr_t address) {
    const auto dpc = world.read<Dpc>(address);
    QueuedDpc queued{address, {}, static_cast<bool>(dpc) && is_dpc(*dpc)};
    if (queued.readable) std::memcpy(static_cast<void*>(&queued.dpc), &*dpc, sizeof(Dpc));
    return queued;
  };
  const auto dpc_of = [](std::uintptr_t link) { return link - offsetof(Dpc, link); };
  Queue result;
  const Walk walk = world.walk(processor.address_of(queue.list()), [&](std::uintptr_t link) { result.dpcs.push_back(read(dpc_of(link))); });
  if (walk.end == Walk::End::Unreadable) result.dpcs.push_back({dpc_of(walk.at), {}, false});
  result.trouble = trouble(walk, "queue");

  // What has been sent and not yet taken in, from the last one to the first.
  std::vector<QueuedDpc> urgent, others;
  std::size_t sent = 0;
  for (std::uintptr_t address = at(queue.last_sent()); address != 0 && sent < static_cast<std::size_t>(std::max(queue.depth(), 0)); ++sent) {
    const QueuedDpc queued = read(address);
    (queued.readable && queued.dpc.where.urgent ? urgent : others).push_back(queued);
    address = queued.readable ? at(queued.dpc.link.next) : 0;
  }
  result.dpcs.insert(result.dpcs.begin(), urgent.begin(), urgent.end());
  result.dpcs.insert(result.dpcs.end(), others.rbegin(), others.rend());

  if (result.trouble.empty() && walk.end == Walk::End::Whole && result.dpcs.size() != static_cast<std::size_t>(queue.depth()))
    result.trouble = fmt::format("Corrupt queue: {} are linked, its depth says {}\n", result.dpcs.size(), queue.depth());
  return result;
}

std::string dpcs(const World& world, const Request& request) {
  std::vector<Line> lines;
  for (unsigned number = 0; number < world.processors(); ++number) {
    if (!request.wants(number)) continue;
    const auto processor = world.processor(number);
    if (!processor) {
      lines.push_back({fmt::format("{:>2}: the processor's block at 0x{:016x} cannot be read", number, processor.address()), {}, {}, {}, {}});
      continue;
    }
    for (const bool threaded : {false, true}) {
      Queue queue = read_queue(world, processor, threaded);
      for (const QueuedDpc& queued : queue.dpcs) {
        if (!queued.readable) {
          lines.push_back({fmt::format("Failed to read DPC at 0x{:016x}", queued.address), {}, {}, {}, {}});
          continue;
        }
        const Dpc& dpc = queued.dpc;
        const auto by = world.queued_by(queued.address);
        lines.push_back(
            {fmt::format("{:>2}: {:<8}: 0x{:016x} 0x{:016x} {}", number, queued.type(), queued.address, at(dpc.routine), world.name(at(dpc.routine))),
             importance_of(dpc), target_of(dpc), by ? by->who : "-", by ? fmt::format("{}.{:03} us", by->time / 1000, by->time % 1000) : "-"});
      }
      while (!queue.trouble.empty()) {
        const auto end = queue.trouble.find('\n');
        lines.push_back({queue.trouble.substr(0, end), {}, {}, {}, {}});
        queue.trouble.erase(0, end + 1);
      }
    }
  }
  if (lines.empty()) return fmt::format("{}\n{:>2}: nothing is queued\n", kHeading, request.processor ? fmt::format("{}", *request.processor) : "*");
  return table(lines);
}

}  // namespace kdpc::view
