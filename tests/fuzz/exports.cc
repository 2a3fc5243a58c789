#include "tests/fuzz/exports.h"

#include <ntstrsafe.h>
#include <wdmsec.h>

#include <array>
#include <string_view>
#include <tuple>
#include <utility>

#include "tests/fuzz/draw.h"

extern "C" NTKERNELAPI VOID NTAPI KdpcEdge(VOID);
extern "C" NTKERNELAPI VOID NTAPI KdpcAccess(ULONG_PTR At, ULONG64 How);

namespace kdpc::fuzz {

namespace {

template <class T>
constexpr Kind kind_behind() {
  if constexpr (std::is_pointer_v<T>) {
    using Target = std::remove_cv_t<std::remove_pointer_t<T>>;
    if constexpr (std::is_void_v<Target>) return Kind::Block;
    if constexpr (!std::is_function_v<Target>) return kind_of<Target>;
  }
  return Kind::Count;
}
template <class... A>
constexpr Kind first_kind() {
  if constexpr (sizeof...(A) == 0) {
    return Kind::Count;
  } else {
    return kind_behind<std::tuple_element_t<0, std::tuple<A...>>>();
  }
}

// A reference is a pointer to the machine code.
template <class T>
using Passed = std::conditional_t<std::is_reference_v<T>, std::add_pointer_t<T>, T>;
template <class T>
T argument(std::uint64_t word) {
  if constexpr (std::is_reference_v<T>) {
    return *from_word<Passed<T>>(word);
  } else {
    return from_word<T>(word);
  }
}

template <class... A>
void draw_all(Stock& stock, std::uint64_t* values) {
  [[maybe_unused]] std::uint64_t* to = values;
  ((*to++ = to_word(draw<Passed<A>>(stock))), ...);
}

template <class R, class F, class... A, std::size_t... I>
std::uint64_t invoke(F routine, const std::uint64_t* values, std::index_sequence<I...>) {
  static_cast<void>(values);
  if constexpr (std::is_void_v<R>) {
    routine(argument<A>(values[I])...);
    return 0;
  } else {
    return to_word(routine(argument<A>(values[I])...));
  }
}
template <class R, class... A>
std::uint64_t call(void (*routine)(), const std::uint64_t* values) {
  using Routine = R(NTAPI*)(A...);
  return invoke<R, Routine, A...>(reinterpret_cast<Routine>(routine), values, std::index_sequence_for<A...>());
}
// A variadic routine gets four words more.
template <class R, class... A>
std::uint64_t call_variadic(void (*routine)(), const std::uint64_t* values) {
  using Routine = R(NTAPI*)(A..., ...);
  const std::uint64_t* more = values + sizeof...(A);
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return to_word(reinterpret_cast<Routine>(routine)(argument<A>(values[I])..., more[0], more[1], more[2], more[3]));
  }
  (std::index_sequence_for<A...>());
}

template <class R, class... A>
constexpr Export entry(const char* name, R(NTAPI* routine)(A...)) {
  static_assert(sizeof...(A) <= kMostArguments);
  return {name, sizeof...(A), draw_all<A...>, call<R, A...>, reinterpret_cast<void (*)()>(routine), first_kind<A...>(), kind_behind<R>()};
}
template <class R, class... A>
constexpr Export entry(const char* name, R(NTAPI* routine)(A..., ...)) {
  return {name,
          sizeof...(A) + 4,
          draw_all<A..., std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t>,
          call_variadic<R, A...>,
          reinterpret_cast<void (*)()>(routine),
          first_kind<A...>(),
          kind_behind<R>()};
}

}  // namespace

const Export kExports[wdk::kRoutineCount] = {
#define ROUTINE(name, lowest, highest, subcode, rule, ddi_rule) entry(#name, &name),
#include "wdk/routines.def"
#undef ROUTINE
};

Kind meaning_of_void(const char* its_name) {
  const std::string_view name = its_name;
  if (name.starts_with("KeWait")) return Kind::Event;
  if (name.starts_with("ExFree") || name.starts_with("MmFree")) return Kind::Block;
  if (name.starts_with("Ob") && name != "ObReferenceObjectByHandle") return Kind::Thread;
  if (name.starts_with("Zw") || name == "ObReferenceObjectByHandle") return Kind::Handle;
  if (name.find("ErrorLogEntry") != name.npos) return name == "IoAllocateErrorLogEntry" ? Kind::Device : Kind::ErrorLogEntry;
  if (name.starts_with("Io")) return name.find("WorkItem") != name.npos || name.find("Thread") != name.npos ? Kind::Device : Kind::Bytes;
  if (name.starts_with("Rtl")) return Kind::Bytes;
  return Kind::Count;
}

Kind meaning_of_word(const char* its_name) {
  const std::string_view name = its_name;
  if (name.find("PushLock") != name.npos) return Kind::PushLock;
  if (name.starts_with("ExInterlocked")) return Kind::SpinLock;
  if (name.find("SpinLock") == name.npos || name.starts_with("Io")) return Kind::Words;
  return name.starts_with("Ex") ? Kind::ReaderWriterLock : Kind::SpinLock;
}

}  // namespace kdpc::fuzz
