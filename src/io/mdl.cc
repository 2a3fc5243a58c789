#include "io/mdl.h"

#include <algorithm>

#include "io/dma.h"
#include "io/registers.h"
#include "machine/host.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

namespace kdpc::io::mdl {

namespace {

constexpr std::uint32_t kMdlTag = pool_tag("Mdl ");

// Size has 16 bits: of a large MDL it says too little. Freed memory has no room.
std::size_t room_for_pages(const MDL* mdl) {
  const std::size_t bytes = sys().pool.contains(mdl) ? room_in_block(mdl) : static_cast<std::size_t>(std::max<CSHORT>(mdl->Size, 0));
  return bytes < sizeof(MDL) ? 0 : (bytes - sizeof(MDL)) / sizeof(PFN_NUMBER);
}

}  // namespace

void describe(MDL* mdl) {
  PFN_NUMBER* pages = MmGetMdlPfnArray(mdl);
  const ULONG count = ADDRESS_AND_SIZE_TO_SPAN_PAGES(MmGetMdlVirtualAddress(mdl), mdl->ByteCount);
  if (sys().pool.contains(mdl) && count > room_for_pages(mdl))
    bug_check(stop::PageFaultBeyondEndOfAllocation, {as_parameter(mdl), 1, as_parameter(__builtin_return_address(0)), 0},
              "An MDL describes more memory than it has room for: it is freed, or was never initialised.", "0xCD");
  for (ULONG page = 0; page < count; ++page) pages[page] = physical_address(static_cast<const char*>(mdl->StartVa) + page * PAGE_SIZE) >> PAGE_SHIFT;
}

MDL* allocate(void* address, std::size_t size, const void* owner) {
  const std::size_t bytes = MmSizeOfMdl(address, size);
  auto* mdl = make<MDL>(bytes, kMdlTag, owner);
  if (mdl == nullptr) return nullptr;
  MmInitializeMdl(mdl, address, size);
  mdl->MdlFlags = MDL_ALLOCATED_FIXED_SIZE;
  return mdl;
}

void free(MDL* mdl) { discard(mdl, kMdlTag); }

namespace {

// Brings in what is pageable, as it may be below DISPATCH_LEVEL and not above.
void touch(const MDL& mdl) {
  const auto* const first = static_cast<const volatile char*>(MmGetMdlVirtualAddress(&mdl));
  for (ULONG offset = 0; offset < mdl.ByteCount; offset += PAGE_SIZE)
    if (sys().pool.contains(const_cast<const char*>(first + offset))) (void)first[offset];
}

}  // namespace

void lock(MDL* mdl) {
  describe(mdl);
  touch(*mdl);
  host::lock_pages(MmGetMdlVirtualAddress(mdl), mdl->ByteCount);
  mdl->MdlFlags = static_cast<CSHORT>(mdl->MdlFlags | MDL_PAGES_LOCKED);
}

void unlock(MDL* mdl) {
  if ((mdl->MdlFlags & MDL_PAGES_LOCKED) != 0) host::unlock_pages(MmGetMdlVirtualAddress(mdl), mdl->ByteCount);
  mdl->MdlFlags = static_cast<CSHORT>(mdl->MdlFlags & ~(MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_WRITE_OPERATION));
  mdl->MappedSystemVa = nullptr;
}

void free_chain(MDL* mdl) {
  while (mdl != nullptr) {
    MDL* next = mdl->Next;
    if ((mdl->MdlFlags & MDL_PAGES_LOCKED) != 0) unlock(mdl);
    free(mdl);
    mdl = next;
  }
}

std::uint64_t physical_address(const void* address) {
  std::uint64_t physical = 0;
  if (dma::physical_address(address, physical) || registers::physical_address(address, physical)) return physical;
  return reinterpret_cast<std::uintptr_t>(address);
}

}  // namespace kdpc::io::mdl

using namespace kdpc;
using namespace kdpc::io;

namespace {

constexpr std::uint32_t kContiguousTag = pool_tag("Cont");

LARGE_INTEGER as_physical(std::uint64_t address) {
  LARGE_INTEGER physical;
  physical.QuadPart = static_cast<LONGLONG>(address);
  return physical;
}

// The pool's memory has high bus addresses only; a device that cannot reach them is served by its DMA adapter's common buffers.
void* allocate_pages(SIZE_T size, PHYSICAL_ADDRESS highest, const void* owner) {
  if (static_cast<std::uint64_t>(highest.QuadPart) < reinterpret_cast<std::uintptr_t>(sys().pool.base())) return nullptr;
  return sys().pool.allocate(ROUND_TO_PAGES(size), kContiguousTag, PoolType::NonPaged, reinterpret_cast<std::uintptr_t>(owner));
}

MDL* pages_for_mdl(PHYSICAL_ADDRESS highest, SIZE_T size, bool zeroed, const void* owner) {
  void* pages = allocate_pages(size, highest, owner);
  if (pages == nullptr) return nullptr;
  MDL* created = mdl::allocate(pages, ROUND_TO_PAGES(size), owner);
  if (created == nullptr) return sys().pool.free(pages, kContiguousTag), nullptr;
  if (zeroed) std::memset(pages, 0, ROUND_TO_PAGES(size));
  mdl::lock(created);
  return created;
}

}  // namespace

extern "C" {

PMDL NTAPI IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer, BOOLEAN, PIRP Irp) {
  KDPC_ROUTINE(IoAllocateMdl);
  KDPC_MAY_FAIL(IoAllocateMdl, nullptr);
  MDL* created = mdl::allocate(VirtualAddress, Length, __builtin_return_address(0));
  if (created == nullptr || Irp == nullptr) return created;
  PMDL* slot = &Irp->MdlAddress;
  if (SecondaryBuffer != 0)
    while (*slot != nullptr) slot = &(*slot)->Next;
  *slot = created;
  return created;
}

VOID NTAPI IoFreeMdl(PMDL Mdl) {
  KDPC_ROUTINE_ON(IoFreeMdl, Mdl);
  mdl::free(Mdl);
}

VOID NTAPI IoBuildPartialMdl(PMDL SourceMdl, PMDL TargetMdl, PVOID VirtualAddress, ULONG Length) {
  KDPC_ROUTINE(IoBuildPartialMdl);
  const char* start = static_cast<const char*>(VirtualAddress);
  const char* source = static_cast<const char*>(MmGetMdlVirtualAddress(SourceMdl));
  const ULONG size = Length != 0 ? Length : SourceMdl->ByteCount - static_cast<ULONG>(start - source);
  const std::size_t pages = ADDRESS_AND_SIZE_TO_SPAN_PAGES(VirtualAddress, size);
  if (pages > mdl::room_for_pages(TargetMdl))
    bug_check(stop::TargetMdlTooSmall, {as_parameter(TargetMdl), as_parameter(VirtualAddress), size, 0},
              "IoBuildPartialMdl was given an MDL that is too small for that part of the other, or a part that the other does not have.", "0x40");
  TargetMdl->StartVa = PAGE_ALIGN(VirtualAddress);
  TargetMdl->ByteOffset = BYTE_OFFSET(VirtualAddress);
  TargetMdl->ByteCount = size;
  const CSHORT inherited = SourceMdl->MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA);
  TargetMdl->MdlFlags = static_cast<CSHORT>((TargetMdl->MdlFlags & MDL_ALLOCATED_FIXED_SIZE) | MDL_PARTIAL | inherited);
  TargetMdl->MappedSystemVa = SourceMdl->MappedSystemVa != nullptr ? static_cast<char*>(SourceMdl->MappedSystemVa) + (start - source) : nullptr;
  const std::ptrdiff_t pages_before = (static_cast<const char*>(TargetMdl->StartVa) - static_cast<const char*>(SourceMdl->StartVa)) / PAGE_SIZE;
  std::memmove(MmGetMdlPfnArray(TargetMdl), MmGetMdlPfnArray(SourceMdl) + pages_before, sizeof(PFN_NUMBER) * pages);
}

VOID NTAPI MmBuildMdlForNonPagedPool(PMDL MemoryDescriptorList) {
  KDPC_ROUTINE(MmBuildMdlForNonPagedPool);
  mdl::describe(MemoryDescriptorList);
  MemoryDescriptorList->MdlFlags = static_cast<CSHORT>(MemoryDescriptorList->MdlFlags | MDL_SOURCE_IS_NONPAGED_POOL);
  MemoryDescriptorList->MappedSystemVa = MmGetMdlVirtualAddress(MemoryDescriptorList);
}

VOID NTAPI MmProbeAndLockPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE, LOCK_OPERATION Operation) {
  KDPC_ROUTINE(MmProbeAndLockPages);
  mdl::lock(MemoryDescriptorList);
  if (Operation != IoReadAccess) MemoryDescriptorList->MdlFlags = static_cast<CSHORT>(MemoryDescriptorList->MdlFlags | MDL_WRITE_OPERATION);
}

VOID NTAPI MmUnlockPages(PMDL MemoryDescriptorList) {
  KDPC_ROUTINE(MmUnlockPages);
  mdl::unlock(MemoryDescriptorList);
}

PVOID NTAPI MmMapLockedPagesSpecifyCache(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode, MEMORY_CACHING_TYPE, PVOID, ULONG BugCheckOnFailure,
                                         ULONG) {
  KDPC_ROUTINE(MmMapLockedPagesSpecifyCache);
  // NULL is what the caller gets who has asked for it.
  if (AccessMode == UserMode || BugCheckOnFailure == FALSE) KDPC_MAY_FAIL(MmMapLockedPagesSpecifyCache, wdk::no_memory(AccessMode == UserMode));
  MemoryDescriptorList->MappedSystemVa = MmGetMdlVirtualAddress(MemoryDescriptorList);
  MemoryDescriptorList->MdlFlags = static_cast<CSHORT>(MemoryDescriptorList->MdlFlags | MDL_MAPPED_TO_SYSTEM_VA);
  return MemoryDescriptorList->MappedSystemVa;
}

VOID NTAPI MmUnmapLockedPages(PVOID, PMDL MemoryDescriptorList) {
  KDPC_ROUTINE(MmUnmapLockedPages);
  MemoryDescriptorList->MdlFlags = static_cast<CSHORT>(MemoryDescriptorList->MdlFlags & ~MDL_MAPPED_TO_SYSTEM_VA);
  MemoryDescriptorList->MappedSystemVa = nullptr;
}

PHYSICAL_ADDRESS NTAPI MmGetPhysicalAddress(PVOID BaseAddress) {
  KDPC_ROUTINE(MmGetPhysicalAddress);
  return as_physical(mdl::physical_address(BaseAddress));
}

PVOID NTAPI MmAllocateContiguousMemory(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS HighestAcceptableAddress) {
  KDPC_ROUTINE(MmAllocateContiguousMemory);
  KDPC_MAY_FAIL(MmAllocateContiguousMemory, nullptr);
  return allocate_pages(NumberOfBytes, HighestAcceptableAddress, __builtin_return_address(0));
}

PVOID NTAPI MmAllocateContiguousMemorySpecifyCache(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS, PHYSICAL_ADDRESS HighestAcceptableAddress,
                                                   PHYSICAL_ADDRESS, MEMORY_CACHING_TYPE) {
  KDPC_ROUTINE(MmAllocateContiguousMemorySpecifyCache);
  KDPC_MAY_FAIL(MmAllocateContiguousMemorySpecifyCache, nullptr);
  return allocate_pages(NumberOfBytes, HighestAcceptableAddress, __builtin_return_address(0));
}

VOID NTAPI MmFreeContiguousMemorySpecifyCache(PVOID BaseAddress, SIZE_T, MEMORY_CACHING_TYPE) {
  KDPC_ROUTINE(MmFreeContiguousMemorySpecifyCache);
  sys().pool.free(BaseAddress, kContiguousTag);
}

PVOID NTAPI MmAllocateNonCachedMemory(SIZE_T NumberOfBytes) {
  KDPC_ROUTINE(MmAllocateNonCachedMemory);
  KDPC_MAY_FAIL(MmAllocateNonCachedMemory, nullptr);
  return allocate_pages(NumberOfBytes, as_physical(~std::uint64_t{0} >> 1), __builtin_return_address(0));
}

VOID NTAPI MmFreeNonCachedMemory(PVOID BaseAddress, SIZE_T) {
  KDPC_ROUTINE(MmFreeNonCachedMemory);
  sys().pool.free(BaseAddress, kContiguousTag);
}

// The pages are adjacent, and they have an address from the beginning; drivers ask for one by mapping.
PMDL NTAPI MmAllocatePagesForMdlEx(PHYSICAL_ADDRESS, PHYSICAL_ADDRESS HighAddress, PHYSICAL_ADDRESS, SIZE_T TotalBytes, MEMORY_CACHING_TYPE,
                                   ULONG Flags) {
  KDPC_ROUTINE(MmAllocatePagesForMdlEx);
  KDPC_MAY_FAIL(MmAllocatePagesForMdlEx, nullptr);
  return pages_for_mdl(HighAddress, TotalBytes, (Flags & MM_DONT_ZERO_ALLOCATION) == 0, __builtin_return_address(0));
}

PMDL NTAPI MmAllocatePagesForMdl(PHYSICAL_ADDRESS, PHYSICAL_ADDRESS HighAddress, PHYSICAL_ADDRESS, SIZE_T TotalBytes) {
  KDPC_ROUTINE(MmAllocatePagesForMdl);
  KDPC_MAY_FAIL(MmAllocatePagesForMdl, nullptr);
  return pages_for_mdl(HighAddress, TotalBytes, true, __builtin_return_address(0));
}

VOID NTAPI MmFreePagesFromMdl(PMDL MemoryDescriptorList) {
  KDPC_ROUTINE(MmFreePagesFromMdl);
  sys().pool.free(MemoryDescriptorList->StartVa, kContiguousTag);
  MemoryDescriptorList->MdlFlags = static_cast<CSHORT>(MemoryDescriptorList->MdlFlags & ~MDL_PAGES_LOCKED);
}

NTSTATUS NTAPI MmProtectMdlSystemAddress(PMDL MemoryDescriptorList, ULONG) {
  KDPC_ROUTINE(MmProtectMdlSystemAddress);
  return (MemoryDescriptorList->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL)) != 0 ? STATUS_SUCCESS : STATUS_NOT_MAPPED_VIEW;
}

VOID NTAPI MmFreeContiguousMemory(PVOID BaseAddress) {
  KDPC_ROUTINE(MmFreeContiguousMemory);
  sys().pool.free(BaseAddress, kContiguousTag);
}

PVOID NTAPI MmLockPagableDataSection(PVOID AddressWithinSection) {
  KDPC_ROUTINE(MmLockPagableDataSection);
  host::lock_section(AddressWithinSection);
  return AddressWithinSection;
}

VOID NTAPI MmUnlockPagableImageSection(PVOID ImageSectionHandle) {
  KDPC_ROUTINE(MmUnlockPagableImageSection);
  host::unlock_section(ImageSectionHandle);
}

}  // extern "C"
