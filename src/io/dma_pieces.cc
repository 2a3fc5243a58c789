#include "io/dma_pieces.h"

namespace kdpc::io::dma {

namespace {

bool is_reachable(const DmaArena* arena, std::uint64_t physical) {
  return arena == nullptr || (physical >= arena->memory.physical && physical - arena->memory.physical < arena->memory.size);
}

}  // namespace

void check_buffer(const MDL* mdl, const char* va, ULONG length) {
  if ((mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL)) == 0)
    violation({0x0E, as_parameter(mdl), 0, 0}, "A DMA transfer uses an MDL whose pages are not locked.");
  const char* start = static_cast<const char*>(MmGetMdlVirtualAddress(mdl));
  if (va < start) violation({0x1F, 1, as_parameter(va), as_parameter(mdl)}, "A DMA transfer begins before its MDL.");
  if (va >= start + mdl->ByteCount) violation({0x1F, 2, as_parameter(va), as_parameter(mdl)}, "A DMA transfer begins behind its MDL.");
  if (length == 0) violation({0x21, 0, 0, 0}, "A DMA transfer of no bytes was asked for.");
}

bool needs_bounce(const Adapter& adapter, const MDL* mdl, const char* va, ULONG length) {
  bool reachable = true;
  for_each_piece(mdl, va, length, [&](char*, std::uint64_t physical, ULONG) { reachable = reachable && is_reachable(adapter.arena, physical); });
  return !reachable;
}

void copy_out(const MDL* mdl, const char* va, ULONG length, std::byte* to) {
  for_each_piece(mdl, va, length, [&](char* at, std::uint64_t, ULONG piece) {
    std::memcpy(to, at, piece);
    to += piece;
  });
}

void copy_in(const MDL* mdl, const char* va, ULONG length, const std::byte* from) {
  for_each_piece(mdl, va, length, [&](char* at, std::uint64_t, ULONG piece) {
    std::memcpy(at, from, piece);
    from += piece;
  });
}

}  // namespace kdpc::io::dma
