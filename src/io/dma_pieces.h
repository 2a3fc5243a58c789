// The bytes of a packet: those of a chain of MDLs, page by page.
#pragma once
#include "io/dma.h"

namespace kdpc::io::dma {

// Calls visit(address, physical, length) for every piece that lies in one page, from `va` on. `va` is an address of the first MDL.
template <class Visit>
void for_each_piece(const MDL* mdl, const char* va, ULONG length, Visit visit) {
  const char* at = va;
  while (mdl != nullptr && length != 0) {
    const char* start = static_cast<const char*>(MmGetMdlVirtualAddress(mdl));
    if (at == nullptr) at = start;
    ULONG left = mdl->ByteCount - static_cast<ULONG>(at - start);
    if (left > length) left = length;
    length -= left;
    while (left != 0) {
      const ULONG in_page = PAGE_SIZE - BYTE_OFFSET(at);
      const ULONG piece = in_page < left ? in_page : left;
      const auto page = static_cast<std::size_t>(at - static_cast<const char*>(mdl->StartVa)) >> PAGE_SHIFT;
      visit(const_cast<char*>(at), (static_cast<std::uint64_t>(MmGetMdlPfnArray(mdl)[page]) << PAGE_SHIFT) + BYTE_OFFSET(at), piece);
      at += piece;
      left -= piece;
    }
    mdl = mdl->Next;
    at = nullptr;
  }
  if (length != 0) violation({0x24, length, 0, 0}, "A DMA transfer is longer than the buffer that its MDLs describe.");
}

// Bug checks unless the MDL's pages are locked and the transfer begins in it.
void check_buffer(const MDL* mdl, const char* va, ULONG length);
// True: a part of it lies where the adapter's device does not reach.
bool needs_bounce(const Adapter& adapter, const MDL* mdl, const char* va, ULONG length);
void copy_out(const MDL* mdl, const char* va, ULONG length, std::byte* to);
void copy_in(const MDL* mdl, const char* va, ULONG length, const std::byte* from);

}  // namespace kdpc::io::dma
