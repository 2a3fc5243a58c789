#include "view/world.h"

#include <fmt/format.h>

namespace kdpc::view {

Result<World> World::open(Sources sources) {
  WorldHeader header;
  if (!sources.memory.read(WorldHeader::kPlace, &header, sizeof header) || header.magic != WorldHeader::kMagic)
    return Error{fmt::format("there is no World at {:#x}: no machine has been created, or it is gone", WorldHeader::kPlace)};
  if (header.version != WorldHeader::kVersion || header.size != sizeof(WorldHeader) || header.layout != layout_of_kernel())
    return Error{
        fmt::format("this World was made by another version of kdpc (header {}, layout {:016x}); this one reads header {}, layout {:016x}: "
                    "use the kdpc that belongs to the library in that process",
                    header.version, header.layout, WorldHeader::kVersion, layout_of_kernel())};
  // There is memory only for the processors that are in use.
  Copy<System> system(sources.memory, at(header.system), offsetof(System, processors));
  if (!system || system->processor_count == 0 || system->processor_count > kMaxProcessors)
    return Error{fmt::format("the World's System at {:#x} cannot be read: it is not in this file, or was overwritten", at(header.system))};
  return World(std::move(sources), header, std::move(system));
}

std::uint64_t World::machine_keeps(const WorldHeader::PerProcessor& what, unsigned number) const {
  std::uint64_t value = 0;
  const bool kept =
      what.first != 0 && what.size <= sizeof value && memory().read(what.first + std::uintptr_t{number} * what.stride, &value, what.size);
  return kept ? value : 0;
}

std::optional<std::uint64_t> World::time() const {
  std::uint64_t time = 0;
  if (header_.time == 0 || !memory().read(header_.time, &time, sizeof time)) return {};
  return time;
}

Symbol World::symbol(std::uintptr_t address, Symbols::Meaning meaning) const {
  Symbol symbol = sources_.symbols.find(address, meaning);
  symbol.image = debuggers_name_of(symbol.image);
  return symbol;
}
std::string World::name(std::uintptr_t address, Symbols::Meaning meaning) const { return symbol(address, meaning).short_text(); }

}  // namespace kdpc::view
