#include "kernel/pool.h"

#include <cstring>

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "wdk/cast.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

using namespace kdpc;

namespace {

constexpr ULONG kUntagged = pool_tag("None");

// Paged pool may be touched below DISPATCH_LEVEL only, and above it there is no pool at all. Too high a level is the pool's own stop code, so
// it is looked at before everything else (IRQL-7).
bool is_too_high(PoolType type) { return current_irql() > (type == PoolType::Paged ? Irql::Apc : Irql::Dispatch); }

void check_allocation(PoolType type, SIZE_T size) {
  if (!is_too_high(type)) return;
  constexpr const char* kSentence = "Paged pool was asked for above APC_LEVEL, or nonpaged pool above DISPATCH_LEVEL.";
  if (sys().options.irql_checks == Options::IrqlChecks::Strict)
    bug_check(stop::DriverVerifierDetectedViolation,
              {type == PoolType::Paged ? 1u : 2u, as_parameter(current_irql()), static_cast<std::uint64_t>(type), size}, kSentence, "IRQL-2");
  bug_check(stop::BadPoolCaller, {8, as_parameter(current_irql()), static_cast<std::uint64_t>(type), size}, kSentence, "IRQL-2");
}

void* allocate(PoolType type, SIZE_T size, ULONG tag, void* caller) {
  return sys().pool.allocate(size, tag, type, reinterpret_cast<std::uintptr_t>(caller));
}

PoolType type_of(POOL_TYPE type) { return (type & 1) != 0 ? PoolType::Paged : PoolType::NonPaged; }

void check_free(void* memory) {
  if (const PoolBlock* block = sys().pool.block_at(memory); block != nullptr && is_too_high(block->type))
    bug_check(stop::BadPoolCaller, {9, as_parameter(current_irql()), static_cast<std::uint64_t>(block->type), as_parameter(memory)},
              "Paged pool was freed above APC_LEVEL, or nonpaged pool above DISPATCH_LEVEL.", "IRQL-2");
}

void free_block(void* memory, ULONG tag, void* caller) {
  if (const PoolBlock* block = sys().pool.block_at(memory); block != nullptr) {
    // As NT protects its objects by a bit of the tag: the wrong one, whatever is said.
    if (block->caller == Pool::kObject)
      bug_check(stop::BadPoolCaller, {0xA, as_parameter(memory), block->tag, tag}, "An object of the kernel's was freed as if it were pool.",
                "IRQL-7");
    audit_range(memory, block->size, block);
  }
  sys().pool.free(memory, tag, reinterpret_cast<std::uintptr_t>(caller));
}

}  // namespace

extern "C" {

PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag) {
  const PoolType type = (Flags & POOL_FLAG_PAGED) != 0 ? PoolType::Paged : PoolType::NonPaged;
  check_allocation(type, NumberOfBytes);
  KDPC_ROUTINE(ExAllocatePool2);
  const bool raises = (Flags & POOL_FLAG_RAISE_ON_FAILURE) != 0;
  KDPC_MAY_FAIL(ExAllocatePool2, wdk::no_memory(raises));
  void* memory = allocate(type, NumberOfBytes, Tag, __builtin_return_address(0));
  if (memory == nullptr) return wdk::no_memory(raises);
  if ((Flags & POOL_FLAG_UNINITIALIZED) == 0) std::memset(memory, 0, NumberOfBytes);
  return memory;
}

PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag) {
  check_allocation(type_of(PoolType), NumberOfBytes);
  KDPC_ROUTINE(ExAllocatePoolWithTag);
  const bool raises = (PoolType & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0;
  KDPC_MAY_FAIL(ExAllocatePoolWithTag, wdk::no_memory(raises));
  void* memory = allocate(type_of(PoolType), NumberOfBytes, Tag, __builtin_return_address(0));
  return memory != nullptr ? memory : wdk::no_memory(raises);
}

PVOID NTAPI ExAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes) {
  check_allocation(type_of(PoolType), NumberOfBytes);
  KDPC_ROUTINE(ExAllocatePool);
  const bool raises = (PoolType & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0;
  KDPC_MAY_FAIL(ExAllocatePool, wdk::no_memory(raises));
  void* memory = allocate(type_of(PoolType), NumberOfBytes, kUntagged, __builtin_return_address(0));
  return memory != nullptr ? memory : wdk::no_memory(raises);
}

VOID NTAPI ExFreePool(PVOID P) {
  check_free(P);
  KDPC_ROUTINE(ExFreePool);
  free_block(P, 0, __builtin_return_address(0));
}

VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag) {
  check_free(P);
  KDPC_ROUTINE(ExFreePoolWithTag);
  free_block(P, Tag, __builtin_return_address(0));
}

}  // extern "C"
