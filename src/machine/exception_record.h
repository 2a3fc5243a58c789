// What NT's stop codes for exceptions point to: an EXCEPTION_RECORD and a CONTEXT, with NT's layout, of the last fault. They lie in the first page of
// the World, so that their addresses are the same in every run and a debugger can read them afterwards.
#pragma once
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "machine/world_header.h"

namespace kdpc {

struct ExceptionRecord {
  std::uint32_t code;  // NTSTATUS
  std::uint32_t flags;
  ExceptionRecord* nested;
  std::uintptr_t address;
  std::uint32_t parameter_count;
  std::uint32_t unused;
  std::uint64_t parameters[15];
};
static_assert(sizeof(ExceptionRecord) == 0x98 && offsetof(ExceptionRecord, address) == 0x10);

struct ContextRecord {
  std::uint64_t homes[6];
  std::uint32_t flags;  // which parts are there
  std::uint32_t mxcsr;
  std::uint16_t segments[6];
  std::uint32_t eflags;
  std::uint64_t debug_registers[6];
  std::uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rip;
  std::uint8_t floating_point[0x4D0 - 0x100];  // not filled
};
static_assert(sizeof(ContextRecord) == 0x4D0 && offsetof(ContextRecord, rax) == 0x78 && offsetof(ContextRecord, rip) == 0xF8);

struct LastException {
  ExceptionRecord exception;
  alignas(16) ContextRecord context;
};
// In the first page: behind what the machine keeps there, below the header.
inline constexpr std::uintptr_t kLastExceptionPlace = kWorldBase + 2048;
static_assert(kLastExceptionPlace + sizeof(LastException) <= WorldHeader::kPlace);

inline LastException& last_exception() { return *reinterpret_cast<LastException*>(kLastExceptionPlace); }

inline void record_exception(std::uint32_t code, const ucontext_t& from) {
  constexpr std::uint32_t kControlAndIntegers = 0x100003;  // CONTEXT_CONTROL | CONTEXT_INTEGER of x64
  LastException& last = last_exception();
  std::memset(static_cast<void*>(&last), 0, sizeof last);
  const auto value = [&from](int name) { return static_cast<std::uint64_t>(from.uc_mcontext.gregs[name]); };
  last.exception.code = code;
  last.exception.address = value(REG_RIP);
  ContextRecord& to = last.context;
  to.flags = kControlAndIntegers;
  to.eflags = static_cast<std::uint32_t>(value(REG_EFL));
  to.rax = value(REG_RAX), to.rcx = value(REG_RCX), to.rdx = value(REG_RDX), to.rbx = value(REG_RBX);
  to.rsp = value(REG_RSP), to.rbp = value(REG_RBP), to.rsi = value(REG_RSI), to.rdi = value(REG_RDI);
  to.r8 = value(REG_R8), to.r9 = value(REG_R9), to.r10 = value(REG_R10), to.r11 = value(REG_R11);
  to.r12 = value(REG_R12), to.r13 = value(REG_R13), to.r14 = value(REG_R14), to.r15 = value(REG_R15);
  to.rip = value(REG_RIP);
}

}  // namespace kdpc
