#include "devices/qtest/pci.h"

#include <fmt/format.h>

#include <utility>

namespace kdpc::qtest {
namespace {

// The pair of ports through which a PC reaches configuration space.
constexpr std::uint64_t kConfigAddress = 0xcf8;
constexpr std::uint64_t kConfigData = 0xcfc;

// Offsets in a function's configuration space.
constexpr unsigned kVendor = 0x00;
constexpr unsigned kCommand = 0x04;
constexpr unsigned kStatus = 0x06;
constexpr unsigned kHeaderType = 0x0e;
constexpr unsigned kFirstBase = 0x10;
constexpr unsigned kEndOfBases = 0x28;
constexpr unsigned kFirstCapability = 0x34;
constexpr unsigned kInterruptLine = 0x3c;
constexpr unsigned kInterruptPin = 0x3d;

constexpr std::uint32_t kPortsMemoryAndMaster = 7;  // in kCommand

constexpr std::uint32_t kHasCapabilities = 0x10;  // in kStatus

// Capabilities, and offsets in them.
constexpr std::uint32_t kMsi = 5;
constexpr std::uint32_t kMsiX = 0x11;
constexpr unsigned kMessageControl = 2;
constexpr unsigned kMsiAddress = 4;
constexpr unsigned kMsiXTable = 4;
constexpr std::uint32_t kMsiEnable = 1;
constexpr std::uint32_t kMsiGranted = 0x70;  // how many, as a power of two; 0: one
constexpr std::uint32_t kMsiWide = 0x80;     // the address has 64 bits
constexpr std::uint32_t kMsiXEnable = 0x8000;
constexpr unsigned kMsiXEntryBytes = 16;
constexpr std::uint32_t kMessage = 1;  // what is written

// What addresses may be handed out: below the I/O APIC, and all ports above those of the chip set.
constexpr std::uint64_t kEndOfMemory = 0xfe000000;
constexpr std::uint64_t kEndOfPorts = 0x10000;

// The LPC bridge routes eight pins to legacy interrupts; bit 7 of each routing register switches that off.
constexpr unsigned kLpcSlot = 0x1f;
constexpr unsigned kPinRouting[] = {0x60, 0x61, 0x62, 0x63, 0x68, 0x69, 0x6a, 0x6b};
constexpr std::uint32_t kRoutingOff = 0x80;

constexpr unsigned kFirstLine = 20;  // pin A of slot 4, 8, 12 …

std::uint32_t config_address(unsigned slot, unsigned offset) { return 0x80000000U | slot << 11 | (offset & 0xfcU); }

}  // namespace

bool PciFunction::within(unsigned range, std::uint64_t offset, unsigned width) const {
  if (range >= ranges_.size() || (width != 1 && width != 2 && width != 4 && width != 8)) return false;
  const RegisterRange& registers = ranges_[range];
  if (width == 8 && registers.space == BusSpace::Port) return false;  // no processor has such an instruction
  return offset < registers.size && registers.size - offset >= width;
}

std::uint64_t PciFunction::read(unsigned range, std::uint64_t offset, unsigned width) {
  if (!within(range, offset, width)) return all_ones(width);
  return bridge_.read(ranges_[range].space, ranges_[range].base + offset, width);
}

void PciFunction::write(unsigned range, std::uint64_t offset, unsigned width, std::uint64_t value) {
  if (!within(range, offset, width)) return;
  bridge_.write(ranges_[range].space, ranges_[range].base + offset, width, value);
}

void PciFunction::select(unsigned offset) { bridge_.write(BusSpace::Port, kConfigAddress, 4, config_address(slot_, offset)); }

std::uint32_t PciFunction::read_config(unsigned offset, unsigned width) {
  select(offset);
  return static_cast<std::uint32_t>(bridge_.read(BusSpace::Port, kConfigData + (offset & 3U), width));
}

void PciFunction::write_config(unsigned offset, unsigned width, std::uint32_t value) {
  select(offset);
  bridge_.write(BusSpace::Port, kConfigData + (offset & 3U), width, value);
}

// Message 0 for everything, if there is only one.
void PciFunction::grant_messages(unsigned granted) {
  granted_ = granted;
  if (offer_.kind == MessageOffer::Kind::Msi) grant_msi();
  if (offer_.kind == MessageOffer::Kind::MsiX) grant_msi_x();
}

void PciFunction::grant_msi() {
  const std::uint32_t control = read_config(capability_ + kMessageControl, 2) & ~(kMsiEnable | kMsiGranted);
  unsigned data = capability_ + kMsiAddress + 4;
  write_config(capability_ + kMsiAddress, 4, static_cast<std::uint32_t>(PciBus::slot_address(offer_.first)));
  if ((control & kMsiWide) != 0) {
    write_config(data, 4, 0);
    data += 4;
  }
  write_config(data, 2, kMessage);
  write_config(capability_ + kMessageControl, 2, granted_ != 0 ? control | kMsiEnable : control);
}

void PciFunction::grant_msi_x() {
  for (unsigned entry = 0; entry < table_entries_; ++entry) {
    const std::uint64_t at = table_ + entry * kMsiXEntryBytes;
    bridge_.write(BusSpace::Memory, at, 4, PciBus::slot_address(offer_.first + (entry < granted_ ? entry : 0)));
    bridge_.write(BusSpace::Memory, at + 4, 4, 0);
    bridge_.write(BusSpace::Memory, at + 8, 4, kMessage);
    bridge_.write(BusSpace::Memory, at + 12, 4, 0);  // not masked
  }
  const std::uint32_t control = read_config(capability_ + kMessageControl, 2);
  write_config(capability_ + kMessageControl, 2, granted_ != 0 ? control | kMsiXEnable : control & ~kMsiXEnable);
}

void PciBus::route_interrupts() {
  PciFunction lpc(bridge_, "lpc", kLpcSlot);
  for (const unsigned offset : kPinRouting) lpc.write_config(offset, 1, kRoutingOff);
}

Result<void> PciBus::set_up(PciFunction& function) {
  const std::uint32_t identity = function.read_config(kVendor, 4);
  function.vendor_ = static_cast<std::uint16_t>(identity);
  function.device_ = static_cast<std::uint16_t>(identity >> 16);
  if (function.vendor_ == 0xffff) {
    return Error{fmt::format("the QEMU device \"{}\" did not appear in PCI slot {}: is it a PCI device?", function.name_, function.slot_)};
  }
  if ((function.read_config(kHeaderType, 1) & 0x7f) != 0) {
    return Error{fmt::format("the QEMU device \"{}\" is a PCI bridge, which no driver can own here", function.name_)};
  }
  if (Result<void> assigned = assign_addresses(function); !assigned) return assigned;

  if (const std::uint32_t pin = function.read_config(kInterruptPin, 1); pin != 0) {
    function.line_ = static_cast<int>(kFirstLine + (function.slot_ + pin - 1) % 4);
    function.write_config(kInterruptLine, 1, static_cast<std::uint32_t>(function.line_));
  }
  function.write_config(kCommand, 2, kPortsMemoryAndMaster);
  find_messages(function);
  return {};
}

// MSI-X if it is there. Of several MSI messages QEMU writes all to one address, told apart by what is written; one overwrites the other, so that
// only one is offered.
void PciBus::find_messages(PciFunction& function) {
  if ((function.read_config(kStatus, 2) & kHasCapabilities) == 0) return;
  MessageOffer& offer = function.offer_;
  // No more than fit into configuration space, should they form a circle.
  unsigned at = function.read_config(kFirstCapability, 1) & 0xfc;
  for (unsigned left = 48; at != 0 && left != 0; --left, at = function.read_config(at + 1, 1) & 0xfc) {
    const std::uint32_t kind = function.read_config(at, 1);
    if (kind == kMsi && offer.kind == MessageOffer::Kind::None) {
      offer = {MessageOffer::Kind::Msi, 1, next_message_};
      function.capability_ = at;
    } else if (kind == kMsiX) {
      const std::uint32_t table = function.read_config(at + kMsiXTable, 4);
      const std::uint64_t base = (table & 7) < 6 ? function.bases_[table & 7] : 0;
      if (base == 0) continue;
      function.table_ = base + (table & ~7U);
      function.table_entries_ = (function.read_config(at + kMessageControl, 2) & 0x7ff) + 1;
      function.capability_ = at;
      offer = {MessageOffer::Kind::MsiX, function.table_entries_, next_message_};
    }
  }
  if (offer.count > kMostMessages - next_message_) offer = {};
  next_message_ += offer.count;
}

// A base address register tells its size by which of the bits written with ones stay zero.
Result<void> PciBus::assign_addresses(PciFunction& function) {
  for (unsigned offset = kFirstBase; offset < kEndOfBases; offset += 4) {
    function.write_config(offset, 4, ~0U);
    const std::uint32_t probed = function.read_config(offset, 4);
    if (probed == 0) continue;

    const BusSpace space = (probed & 1) != 0 ? BusSpace::Port : BusSpace::Memory;
    const bool wide = space == BusSpace::Memory && (probed & 6) == 4;
    const std::uint32_t address_bits = space == BusSpace::Port ? (probed & ~3U) | 0xffff0000U : probed & ~15U;
    const std::uint64_t size = static_cast<std::uint64_t>(~address_bits) + 1;
    const std::optional<std::uint64_t> base = take(space, size);
    if (!base) {
      return Error{fmt::format("the QEMU device \"{}\" wants {} bytes of {}, more than is left", function.name_, size,
                               space == BusSpace::Port ? "ports" : "register memory")};
    }
    function.ranges_.push_back({space, *base, size});
    function.bases_[(offset - kFirstBase) / 4] = *base;
    function.write_config(offset, 4, static_cast<std::uint32_t>(*base));
    if (wide) function.write_config(offset += 4, 4, 0);
  }
  return {};
}

std::optional<std::uint64_t> PciBus::take(BusSpace space, std::uint64_t size) {
  std::uint64_t& next = space == BusSpace::Port ? next_port_ : next_memory_;
  const std::uint64_t end = space == BusSpace::Port ? kEndOfPorts : kEndOfMemory;
  const std::uint64_t base = (next + size - 1) & ~(size - 1);
  if (size == 0 || base + size > end) return std::nullopt;
  next = base + size;
  return base;
}

}  // namespace kdpc::qtest
