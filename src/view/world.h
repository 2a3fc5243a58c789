// A World that is looked at from outside: copies of the kernel's structures, read through Memory. Nothing here runs code of the kernel, and nothing trusts
// what it reads: lists that do not end, or lead nowhere, end where that is noticed.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_set>

#include "kernel/system.h"
#include "machine/world_header.h"
#include "trace/symbols.h"
#include "view/memory.h"

namespace kdpc::view {

// An object of a World, as it was when it was read. Pointers in it are addresses there.
template <class T>
class Copy {
 public:
  Copy(const Memory& memory, std::uintptr_t address, std::size_t size = sizeof(T)) : address_(address), bytes_(std::make_unique<Bytes>()) {
    read_ = address != 0 && memory.read(address, bytes_->data, size);
  }
  explicit operator bool() const { return read_; }
  const T& operator*() const { return *reinterpret_cast<const T*>(bytes_->data); }
  const T* operator->() const { return &**this; }
  std::uintptr_t address() const { return address_; }
  // Of a part of it, there.
  template <class Field>
  std::uintptr_t address_of(const Field& field) const {
    return address_ + static_cast<std::uintptr_t>(reinterpret_cast<const volatile std::byte*>(&field) - bytes_->data);
  }

 private:
  struct Bytes {
    alignas(T) std::byte data[sizeof(T)]{};
  };
  std::uintptr_t address_;
  std::unique_ptr<Bytes> bytes_;
  bool read_ = false;
};

// How a list was walked.
struct Walk {
  enum class End : std::uint8_t { Whole, Unreadable, Loops } end = End::Whole;
  std::uintptr_t at = 0;    // the link that could not be read, or came twice
  std::uintptr_t torn = 0;  // the first link that names another predecessor than it has; 0: none
};

// Who queued a DPC that is queued now, as a log of events knows it.
struct QueuedBy {
  std::string who;
  std::uint64_t time = 0;  // ns
};

// Where a view gets what it shows.
struct Sources {
  const Memory& memory;
  Symbols& symbols;
  std::function<std::optional<QueuedBy>(std::uintptr_t dpc)> queued_by = nullptr;  // null: there is no log
};

class World {
 public:
  // The Error says that there is none, or that it is one of another build.
  static Result<World> open(Sources sources);

  const WorldHeader& header() const { return header_; }
  const System& system() const { return *system_; }
  template <class Field>
  std::uintptr_t address_of(const Field& field) const {  // of the System
    return system_.address_of(field);
  }
  unsigned processors() const { return std::min<unsigned>(system_->processor_count, kMaxProcessors); }
  Copy<Processor> processor(unsigned number) const { return read<Processor>(system_.address_of(system_->processors[number])); }
  std::uint64_t machine_keeps(const WorldHeader::PerProcessor& what, unsigned number) const;  // 0: it does not
  std::string machine() const { return {header_.machine, ::strnlen(header_.machine, sizeof header_.machine)}; }
  std::optional<std::uint64_t> time() const;  // ns

  template <class T>
  Copy<T> read(std::uintptr_t address) const {
    return Copy<T>(sources_.memory, address);
  }
  template <class T>
  Copy<T> read(const volatile T* address) const {
    return Copy<T>(sources_.memory, reinterpret_cast<std::uintptr_t>(address));
  }
  const Memory& memory() const { return sources_.memory; }

  // nic!NicDpc+0x1c; an address without a name is a number. Our library is nt.
  std::string name(std::uintptr_t address, Symbols::Meaning meaning = Symbols::Meaning::Exact) const;
  // The same with what else is known: file and line.
  Symbol symbol(std::uintptr_t address, Symbols::Meaning meaning = Symbols::Meaning::Exact) const;
  bool has_history() const { return sources_.queued_by != nullptr; }
  std::optional<QueuedBy> queued_by(std::uintptr_t dpc) const { return has_history() ? sources_.queued_by(dpc) : std::nullopt; }

  // visit(address of a link), in order. `head`: where the list's head is.
  template <class Visit>
  Walk walk(std::uintptr_t head, Visit&& visit) const {
    Walk result;
    Copy<Link> link = read<Link>(head);
    if (!link) return {Walk::End::Unreadable, head, 0};
    std::unordered_set<std::uintptr_t> seen;
    std::uintptr_t before = head;
    for (std::uintptr_t at = reinterpret_cast<std::uintptr_t>(link->next); at != head; at = reinterpret_cast<std::uintptr_t>(link->next)) {
      link = read<Link>(at);
      if (!link) return {Walk::End::Unreadable, at, result.torn};
      if (!seen.insert(at).second) return {Walk::End::Loops, at, result.torn};
      if (reinterpret_cast<std::uintptr_t>(link->previous) != before && result.torn == 0) result.torn = at;
      visit(at);
      before = at;
    }
    return result;
  }

 private:
  World(Sources sources, const WorldHeader& header, Copy<System> system)
      : sources_(std::move(sources)), header_(header), system_(std::move(system)) {}
  Sources sources_;
  WorldHeader header_;
  Copy<System> system_;  // without its processors, which are read one by one
};

template <class T>
std::uintptr_t at(const volatile T* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}
template <class T>
requires std::is_function_v<T> std::uintptr_t at(T* routine) { return reinterpret_cast<std::uintptr_t>(routine); }

}  // namespace kdpc::view
