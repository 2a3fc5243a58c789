#include "io/manager.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "this_machine.h"

namespace kdpc::io {

Manager& manager() {
  if (sys().io_manager == nullptr) {
    auto* created = make<Manager>();
    if (created == nullptr) bug_check(stop::BadPoolCaller, {0x46, 0, 0, 0}, "There is no memory for the I/O manager.", "K.IO-1");
    fast_mutex::initialize(created->pnp_turn);
    void* expected = nullptr;
    if (!__atomic_compare_exchange_n(&sys().io_manager, &expected, static_cast<void*>(created), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
      discard(created);
  }
  return *static_cast<Manager*>(sys().io_manager);
}

void remark(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (length > 0)
    Machine::observe(DebugPrinted{text, static_cast<std::uint32_t>(std::min<std::size_t>(static_cast<std::size_t>(length), sizeof text - 1))});
}

}  // namespace kdpc::io
