// How an argument of each type is drawn, and the structures that routines take are filled in.
#pragma once
#include <bit>
#include <cstring>
#include <type_traits>

#include "tests/fuzz/callbacks.h"
#include "tests/fuzz/stock.h"

namespace kdpc::fuzz {

template <class T>
T draw(Stock& stock);

// Structures by address: filled with what belongs into them, most of the time.
inline void fill(Stock& stock, UNICODE_STRING& to) {
  auto* text = static_cast<WCHAR*>(stock.pointer(Kind::WideText));
  to = {static_cast<USHORT>(stock.random.chance(80) ? 2 * stock.random.below(20) : stock.integer(2)),
        static_cast<USHORT>(stock.random.chance(80) ? 40 : stock.integer(2)), text};
}
inline void fill(Stock& stock, OBJECT_ATTRIBUTES& to) {
  to = {sizeof to,
        stock.random.chance(70) ? nullptr : stock.pointer(Kind::Handle),
        static_cast<PUNICODE_STRING>(stock.pointer(Kind::UnicodeString)),
        static_cast<ULONG>(stock.random.chance(70) ? OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE | OBJ_OPENIF : stock.integer(4)),
        nullptr,
        nullptr};
  if (stock.random.chance(10)) to.Length = static_cast<ULONG>(stock.integer(4));
}
inline void fill(Stock& stock, PROCESSOR_NUMBER& to) {
  to = {static_cast<USHORT>(stock.random.chance(80) ? 0 : stock.integer(2)),
        static_cast<UCHAR>(stock.random.chance(80) ? stock.random.below(5) : stock.integer(1)), 0};
}
inline void fill(Stock& stock, GROUP_AFFINITY& to) {
  to = {stock.random.chance(80) ? 1 + stock.random.below(16) : stock.integer(8),
        static_cast<USHORT>(stock.random.chance(80) ? 0 : stock.integer(2)),
        {}};
}
inline void fill(Stock& stock, LARGE_INTEGER& to) { to.QuadPart = stock.due_time(); }
inline void fill(Stock& stock, EXT_SET_PARAMETERS& to) {
  to = {static_cast<ULONG>(stock.random.chance(80) ? 0 : stock.integer(4)), 0, stock.random.chance(60) ? 0 : stock.due_time()};
}
inline void fill(Stock& stock, EXT_DELETE_PARAMETERS& to) {
  to = {static_cast<ULONG>(stock.random.chance(80) ? 0 : stock.integer(4)), 0, draw<PEXT_DELETE_CALLBACK>(stock), stock.anything()};
}
inline void fill(Stock& stock, DEVICE_DESCRIPTION& to) {
  stock.fill(&to, sizeof to);
  to.Version = static_cast<ULONG>(stock.random.below(5));
  to.Master = stock.random.chance(80);
  to.ScatterGather = stock.random.chance(50);
  to.MaximumLength = static_cast<ULONG>(stock.integer(4));
}
inline void fill(Stock& stock, IO_CONNECT_INTERRUPT_PARAMETERS& to) {
  stock.fill(&to, sizeof to);
  static constexpr ULONG kVersions[] = {CONNECT_FULLY_SPECIFIED, CONNECT_LINE_BASED, CONNECT_MESSAGE_BASED, 4, 0, 77};
  to.Version = stock.random.one_of(kVersions);
  // The versions begin alike.
  auto& common = to.FullySpecified;
  common.PhysicalDeviceObject = static_cast<PDEVICE_OBJECT>(stock.pointer(Kind::Device));
  common.InterruptObject = static_cast<PKINTERRUPT*>(stock.pointer(Kind::Words));
  common.ServiceRoutine = draw<PKSERVICE_ROUTINE>(stock);
  common.ServiceContext = stock.anything();
  common.SpinLock = stock.random.chance(60) ? nullptr : static_cast<PKSPIN_LOCK>(stock.pointer(Kind::Words));
  common.SynchronizeIrql = static_cast<KIRQL>(stock.random.chance(60) ? 0 : stock.integer(1));
  if (to.Version != CONNECT_FULLY_SPECIFIED) return;
  common.Irql = static_cast<KIRQL>(3 + stock.random.below(9));
  common.Vector = static_cast<ULONG>(16u * common.Irql + stock.random.below(4));
  common.ProcessorEnableMask = 1 + stock.random.below(15);
}
inline void fill(Stock& stock, IO_DISCONNECT_INTERRUPT_PARAMETERS& to) {
  to.Version = static_cast<ULONG>(1 + stock.random.below(5));
  to.ConnectionContext.Generic = stock.random.chance(80) ? stock.pointer(Kind::Interrupt) : stock.anything();
}
inline void fill(Stock& stock, IO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS& to) {
  to.Version = static_cast<ULONG>(1 + stock.random.below(5));
  to.ConnectionContext.Generic = stock.random.chance(80) ? stock.pointer(Kind::Interrupt) : stock.anything();
}
inline void fill(Stock& stock, RTL_QUERY_REGISTRY_TABLE& to) {
  to = {};
  if (stock.random.chance(50)) to.QueryRoutine = draw<PRTL_QUERY_REGISTRY_ROUTINE>(stock);
  to.Flags = static_cast<ULONG>(stock.random.chance(80) ? stock.random.below(256) : stock.integer(4));
  to.Name = static_cast<PWSTR>(stock.pointer(Kind::WideText));
  to.EntryContext = stock.pointer(Kind::Bytes);
  to.DefaultType = static_cast<ULONG>(stock.random.below(12));
  to.DefaultData = stock.pointer(Kind::Bytes);
  to.DefaultLength = static_cast<ULONG>(stock.random.below(64));
}
inline void fill(Stock& stock, TIME_FIELDS& to) {
  to = {static_cast<CSHORT>(1601 + stock.random.below(500)),
        static_cast<CSHORT>(1 + stock.random.below(12)),
        static_cast<CSHORT>(1 + stock.random.below(31)),
        static_cast<CSHORT>(stock.random.below(24)),
        0,
        0,
        0,
        0};
  if (stock.random.chance(30)) stock.fill(&to, sizeof to);
}
inline void fill(Stock& stock, RTL_OSVERSIONINFOW& to) {
  to.dwOSVersionInfoSize = stock.random.chance(70) ? sizeof to : static_cast<ULONG>(stock.integer(4));
}
inline void fill(Stock& stock, RTL_OSVERSIONINFOEXW& to) {
  to.dwOSVersionInfoSize = stock.random.chance(70) ? sizeof to : static_cast<ULONG>(stock.integer(4));
}

template <class T>
concept Fillable = requires(Stock& stock, T& to) {
  fill(stock, to);
};

// A new structure; a table of several where the routine may want one.
template <class T>
T* fresh(Stock& stock) {
  if constexpr (std::is_same_v<T, RTL_QUERY_REGISTRY_TABLE>) {
    auto* rows = static_cast<T*>(stock.cell(4 * sizeof(T)));
    const std::uint64_t count = stock.random.below(4);  // the row after the last is zero
    for (std::uint64_t row = 0; row < count; ++row) fill(stock, rows[row]);
    return rows;
  } else {
    auto* made = static_cast<T*>(stock.cell(sizeof(T), stock.random.chance(50) ? 0 : 256));
    fill(stock, *made);
    return made;
  }
}

template <class T>
T draw(Stock& stock) {
  if constexpr (std::is_enum_v<T>) {
    return static_cast<T>(stock.random.chance(85) ? stock.random.below(8) : stock.integer(4));
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(stock.integer(sizeof(T)));
  } else if constexpr (std::is_same_v<T, LARGE_INTEGER>) {
    LARGE_INTEGER value;
    value.QuadPart = stock.due_time();
    return value;
  } else if constexpr (std::is_pointer_v<T>) {
    using Target = std::remove_cv_t<std::remove_pointer_t<T>>;
    if constexpr (std::is_function_v<Target>) {
      return reinterpret_cast<T>(draw_callback(stock));
    } else if constexpr (std::is_void_v<Target>) {
      return stock.wanted_void == Kind::Count || stock.random.chance(15) ? stock.anything() : stock.pointer(stock.wanted_void);
    } else if constexpr (std::is_same_v<Target, void*>) {  // objects to wait for, or room for one pointer
      auto** several = static_cast<void**>(stock.cell(64 * sizeof(void*)));
      static constexpr Kind kObjects[] = {Kind::Event, Kind::Semaphore, Kind::Mutex, Kind::Timer, Kind::Thread};
      for (unsigned index = 0; index < 64; ++index) several[index] = stock.pointer(stock.random.one_of(kObjects));
      return stock.random.chance(90) ? several : static_cast<T>(stock.pointer(Kind::Bytes));
    } else if constexpr (Fillable<Target> && kind_of<Target> == Kind::Bytes) {
      return stock.random.chance(85) ? fresh<Target>(stock) : static_cast<T>(stock.pointer(Kind::Bytes));
    } else {
      return static_cast<T>(stock.pointer(kind_of<Target>));
    }
  } else {
    static_assert(sizeof(T) <= sizeof(std::uint64_t));
    const std::uint64_t bits = stock.integer(sizeof(T));
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
}

template <class T>
std::uint64_t to_word(T value) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t word = 0;
  std::memcpy(&word, &value, sizeof value);
  return word;
}
template <class T>
T from_word(std::uint64_t word) {
  T value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

}  // namespace kdpc::fuzz
