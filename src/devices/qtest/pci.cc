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
constexpr unsigned kHeaderType = 0x0e;
constexpr unsigned kFirstBase = 0x10;
constexpr unsigned kEndOfBases = 0x28;
constexpr unsigned kInterruptLine = 0x3c;
constexpr unsigned kInterruptPin = 0x3d;

constexpr std::uint32_t kPortsMemoryAndMaster = 7;  // in kCommand

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
  return {};
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
