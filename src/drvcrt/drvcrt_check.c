// The hooks of a driver's check variant: its code calls one before every access to memory that others may see (-fsanitize=thread). Linked into each
// check variant beside drvcrt.c, and hidden there.
//
// A hook leaves a record (src/machine/access.h) in the machine's log, whose place and room are words of the World's first page; when no room is left
// it goes to the machine's KdpcAccess() by a jump: to it, the driver's code is the caller. Interlocked operations are altogether calls of these; what
// copies or fills memory is one, too. They record, and then do it. Not recorded: what the string routines of drvcrt.c read and write.
//
// Compiled for the drivers' own target, without instrumentation.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef KDPC_WORLD_BASE
#define KDPC_WORLD_BASE "0x400000000000"  // src/base/fixed_places.h
#endif

typedef struct {
  u64 at, how;
} Access;

// The beginning of src/machine/sim/state.h's.
typedef struct {
  long long edge_budget;
  long long access_budget;
  Access* access_log;
} Fixed;

void KdpcAccess(u64 at, u64 how);

#define WRITE (1ull << 63)
#define VOLATILE (1ull << 62)
#define ATOMIC (1ull << 61)
#define READ 0ull
#define SIZE(bytes) ((u64)(bytes) << 48)

#define INLINE static inline __attribute__((always_inline))
// Where the hook will return to; a function into which this is inlined is a hook itself.
#define PC ((u64)__builtin_return_address(0))

INLINE Fixed* fixed(void) {
  Fixed* words;
  __asm__("movabsq $" KDPC_WORLD_BASE ", %0" : "=r"(words));
  return words;
}

// May come back much later, and on another processor: what the machine has had run before this access lies in between.
INLINE void record(const volatile void* at, u64 how) {
  Fixed* words = fixed();
  const long long left = --words->access_budget;
  if (__builtin_expect(left < 0, 0)) {
    KdpcAccess((u64)at, how);
    return;
  }
  Access* access = words->access_log - left - 1;
  access->at = (u64)at;
  access->how = how;
}

#define HOOK(name, kind) \
  void name(const volatile void* at) { record(at, PC | (kind)); }

#define HOOKS(bytes)                                                         \
  HOOK(__tsan_read##bytes, READ | SIZE(bytes))                               \
  HOOK(__tsan_write##bytes, WRITE | SIZE(bytes))                             \
  HOOK(__tsan_volatile_read##bytes, READ | VOLATILE | SIZE(bytes))           \
  HOOK(__tsan_volatile_write##bytes, WRITE | VOLATILE | SIZE(bytes))         \
  HOOK(__tsan_unaligned_read##bytes, READ | SIZE(bytes))                     \
  HOOK(__tsan_unaligned_write##bytes, WRITE | SIZE(bytes))                   \
  HOOK(__tsan_unaligned_volatile_read##bytes, READ | VOLATILE | SIZE(bytes)) \
  HOOK(__tsan_unaligned_volatile_write##bytes, WRITE | VOLATILE | SIZE(bytes))

HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

HOOK(__tsan_vptr_read, READ | SIZE(8))
void __tsan_vptr_update(const volatile void* at, const void* value) {
  (void)value;
  record(at, PC | WRITE | SIZE(8));
}

void __tsan_init(void) {}

// -- ranges: in pieces that lie in one page each -------------------------------------------------------------------------------------------------

INLINE void record_range(const volatile void* at, u64 count, u64 how) {
  u64 from = (u64)at;
  while (count != 0) {
    const u64 rest_of_page = 0x1000 - (from & 0xfff);
    const u64 piece = count < rest_of_page ? count : rest_of_page;
    record((const void*)from, how | SIZE(piece));
    from += piece;
    count -= piece;
  }
}

// What drvcrt.c has under the names of C, which say nothing.
#define ELSEWHERE __attribute__((visibility("hidden")))
ELSEWHERE void* kdpc_copy(void* to, const void* from, u64 count);
ELSEWHERE void* kdpc_move(void* to, const void* from, u64 count);
ELSEWHERE void* kdpc_fill(void* to, int value, u64 count);
ELSEWHERE int kdpc_compare(const void* left, const void* right, u64 count);

// The same under the names by which later compilers call them.
#define AS(name) __attribute__((alias(#name)))

void* memcpy(void* to, const void* from, u64 count) {
  record_range(from, count, PC | READ);
  record_range(to, count, PC | WRITE);
  return kdpc_copy(to, from, count);
}
void* __tsan_memcpy(void* to, const void* from, u64 count) AS(memcpy);

void* memmove(void* to, const void* from, u64 count) {
  record_range(from, count, PC | READ);
  record_range(to, count, PC | WRITE);
  return kdpc_move(to, from, count);
}
void* __tsan_memmove(void* to, const void* from, u64 count) AS(memmove);

void* memset(void* to, int value, u64 count) {
  record_range(to, count, PC | WRITE);
  return kdpc_fill(to, value, count);
}
void* __tsan_memset(void* to, int value, u64 count) AS(memset);

int memcmp(const void* left, const void* right, u64 count) {
  record_range(left, count, PC | READ);
  record_range(right, count, PC | READ);
  return kdpc_compare(left, right, count);
}

// -- interlocked operations: sequentially consistent, whatever weaker order is asked for ----------------------------------------------------------

void __tsan_atomic_thread_fence(int order) {
  (void)order;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void __tsan_atomic_signal_fence(int order) { (void)order; }

#define CHANGE(bits, type, name, operation)                                     \
  type __tsan_atomic##bits##_##name(volatile type* at, type value, int order) { \
    (void)order;                                                                \
    record(at, PC | WRITE | ATOMIC | SIZE(bits / 8));                           \
    return operation(at, value, __ATOMIC_SEQ_CST);                              \
  }

#define ATOMICS(bits, type)                                                                                              \
  type __tsan_atomic##bits##_load(const volatile type* at, int order) {                                                  \
    (void)order;                                                                                                         \
    record(at, PC | READ | ATOMIC | SIZE(bits / 8));                                                                     \
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                                        \
  }                                                                                                                      \
  void __tsan_atomic##bits##_store(volatile type* at, type value, int order) {                                           \
    (void)order;                                                                                                         \
    record(at, PC | WRITE | ATOMIC | SIZE(bits / 8));                                                                    \
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                                                       \
  }                                                                                                                      \
  CHANGE(bits, type, exchange, __atomic_exchange_n)                                                                      \
  CHANGE(bits, type, fetch_add, __atomic_fetch_add)                                                                      \
  CHANGE(bits, type, fetch_sub, __atomic_fetch_sub)                                                                      \
  CHANGE(bits, type, fetch_and, __atomic_fetch_and)                                                                      \
  CHANGE(bits, type, fetch_or, __atomic_fetch_or)                                                                        \
  CHANGE(bits, type, fetch_xor, __atomic_fetch_xor)                                                                      \
  CHANGE(bits, type, fetch_nand, __atomic_fetch_nand)                                                                    \
  type __tsan_atomic##bits##_compare_exchange_val(volatile type* at, type expected, type value, int order, int failed) { \
    (void)order, (void)failed;                                                                                           \
    record(at, PC | WRITE | ATOMIC | SIZE(bits / 8));                                                                    \
    __atomic_compare_exchange_n(at, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                            \
    return expected;                                                                                                     \
  }

ATOMICS(8, u8)
ATOMICS(16, u16)
ATOMICS(32, u32)
ATOMICS(64, u64)

// -- the same of 128 bits, in what is compiled with -mcx16 ------------------------------------------------------------------------
//
// The compiler passes such a number as two, and expects one in rax and rdx, which no C function of this calling convention can do.

typedef struct {
  u64 low, high;
} Wide;

typedef enum { Load, Store, Exchange, FetchAdd, FetchSub, FetchAnd, FetchOr, FetchXor, FetchNand, CompareExchange } WideOperation;

INLINE Wide changed(Wide was, WideOperation operation, Wide by) {
  const u64 carry = was.low + by.low < was.low, borrow = was.low < by.low;
  switch (operation) {
    case Load: return was;
    case FetchAdd: return (Wide){was.low + by.low, was.high + by.high + carry};
    case FetchSub: return (Wide){was.low - by.low, was.high - by.high - borrow};
    case FetchAnd: return (Wide){was.low & by.low, was.high & by.high};
    case FetchOr: return (Wide){was.low | by.low, was.high | by.high};
    case FetchXor: return (Wide){was.low ^ by.low, was.high ^ by.high};
    case FetchNand: return (Wide){~(was.low & by.low), ~(was.high & by.high)};
    default: return by;
  }
}

// `one` is what is expected, or the operand; `other` the new value if something is expected. `result` is what was there.
__attribute__((used)) static void change_wide(volatile Wide* at, u64 one_low, u64 one_high, u64 other_low, u64 other_high, Wide* result, u64 pc,
                                              WideOperation operation) {
  const Wide one = {one_low, one_high}, other = {other_low, other_high};
  record(at, pc | (operation == Load ? READ : WRITE) | ATOMIC | SIZE(16));
  Wide was = operation == CompareExchange ? one : (Wide){0, 0};
  for (u8 done = 0; !done;) {
    const Wide value = operation == CompareExchange ? other : changed(was, operation, one);
    __asm__ volatile("lock cmpxchg16b %1" : "=@ccz"(done), "+m"(*at), "+a"(was.low), "+d"(was.high) : "b"(value.low), "c"(value.high) : "memory");
    if (operation == CompareExchange) break;
  }
  *result = was;
}

// Calls change_wide() with what it was called with, and answers the result. Operations are numbered as above.
__asm__(
    ".text\n"
    ".macro wide name, operation\n"
    ".globl __tsan_atomic128_\\name\n"
    ".type __tsan_atomic128_\\name, @function\n"
    "__tsan_atomic128_\\name:\n"
    "  .cfi_startproc\n"
    "  pushq %rbp\n"
    "  .cfi_def_cfa_offset 16\n"
    "  .cfi_offset %rbp, -16\n"
    "  movq %rsp, %rbp\n"
    "  .cfi_def_cfa_register %rbp\n"
    "  subq $80, %rsp\n"
    "  movq 48(%rbp), %rax\n"  // the fifth argument, if there is one
    "  movq %rax, 32(%rsp)\n"
    "  leaq 64(%rsp), %rax\n"
    "  movq %rax, 40(%rsp)\n"
    "  movq 8(%rbp), %rax\n"
    "  movq %rax, 48(%rsp)\n"
    "  movl $\\operation, 56(%rsp)\n"
    "  call change_wide\n"
    "  movq 64(%rsp), %rax\n"
    "  movq 72(%rsp), %rdx\n"
    "  leave\n"
    "  .cfi_def_cfa %rsp, 8\n"
    "  ret\n"
    "  .cfi_endproc\n"
    ".size __tsan_atomic128_\\name, . - __tsan_atomic128_\\name\n"
    ".endm\n"
    "wide load, 0\n"
    "wide store, 1\n"
    "wide exchange, 2\n"
    "wide fetch_add, 3\n"
    "wide fetch_sub, 4\n"
    "wide fetch_and, 5\n"
    "wide fetch_or, 6\n"
    "wide fetch_xor, 7\n"
    "wide fetch_nand, 8\n"
    "wide compare_exchange_val, 9\n");
