// The PCI bus of QEMU's q35 board, seen from our side: configuration space, base addresses handed out, interrupt pins followed to lines.
//
//   Q.PCI-1  Base addresses depend only on the functions and their order: memory from 0xe0000000, ports from 0xc000.
//   Q.PCI-2  A line is the input of the I/O APIC that the function's pin is wired to, 20…23 here. Functions four slots apart share one.
//   Q.PCI-3  A message is a word that the function writes to an address it was given. Ours are slots in guest memory below what drivers get.
//
// A PciFunction is the Device a driver owns. Its registers lie behind its base addresses; its configuration space is reached through
// read_config and write_config, which a host offers to drivers as bus data.
#pragma once
#include <kdpc/device.h>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "devices/qtest/channel.h"

namespace kdpc::qtest {

// What carries accesses to QEMU. Reads are waited for; writes may be posted. After a failure reads give all ones.
class Bridge {
 public:
  virtual ~Bridge() = default;
  virtual std::uint64_t read(BusSpace space, std::uint64_t address, unsigned width) = 0;
  virtual void write(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t value) = 0;
};

// All ones in `width` bytes.
constexpr std::uint64_t all_ones(unsigned width) { return width >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * width)) - 1; }

class PciFunction final : public Device {
 public:
  PciFunction(Bridge& bridge, std::string name, unsigned slot) : bridge_(bridge), name_(std::move(name)), slot_(slot) {}

  std::string_view name() const override { return name_; }
  std::span<const RegisterRange> registers() const override { return ranges_; }
  int line() const override { return line_; }
  MessageOffer messages() const override { return offer_; }
  void grant_messages(unsigned granted) override;
  std::uint64_t read(unsigned range, std::uint64_t offset, unsigned width) override;
  void write(unsigned range, std::uint64_t offset, unsigned width, std::uint64_t value) override;

  // Configuration space: `offset` below 256, width 1, 2 or 4, not crossing a double word.
  std::uint32_t read_config(unsigned offset, unsigned width);
  void write_config(unsigned offset, unsigned width, std::uint32_t value);

  unsigned slot() const { return slot_; }
  std::uint16_t vendor() const { return vendor_; }
  std::uint16_t device() const { return device_; }

 private:
  friend class PciBus;
  void grant_msi();
  void grant_msi_x();
  bool within(unsigned range, std::uint64_t offset, unsigned width) const;
  void select(unsigned offset);

  Bridge& bridge_;
  std::string name_;
  unsigned slot_;
  std::uint16_t vendor_ = 0;
  std::uint16_t device_ = 0;
  int line_ = -1;
  std::vector<RegisterRange> ranges_;
  std::uint64_t bases_[6] = {};  // by base address register; 0: not there
  MessageOffer offer_;
  unsigned capability_ = 0;     // where in configuration space the messages are switched on
  std::uint64_t table_ = 0;     // of MSI-X
  unsigned table_entries_ = 0;  // may be more than are offered
  unsigned granted_ = 0;
};

class PciBus {
 public:
  // Slots that are wired to lines 20…23 in rotation. Below 4 and above 24 sit the board's own functions, or other wiring.
  static constexpr unsigned kFirstSlot = 4;
  static constexpr unsigned kLastSlot = 24;

  explicit PciBus(Bridge& bridge) : bridge_(bridge) {}

  // Makes the chip set forward interrupt pins to the I/O APIC alone.
  void route_interrupts();
  // Gives the function its base addresses and its line, numbers its messages, and switches it on.
  Result<void> set_up(PciFunction& function);
  unsigned messages() const { return next_message_; }

  // Where in guest memory a message arrives: anything but 0 is one.
  static constexpr std::uint64_t kFirstSlotAddress = 0x1000;
  static constexpr unsigned kMostMessages = 4096;
  static constexpr std::uint64_t slot_address(unsigned message) { return kFirstSlotAddress + message * sizeof(std::uint32_t); }

 private:
  void find_messages(PciFunction& function);
  Result<void> assign_addresses(PciFunction& function);
  std::optional<std::uint64_t> take(BusSpace space, std::uint64_t size);

  Bridge& bridge_;
  std::uint64_t next_memory_ = 0xe0000000;
  std::uint64_t next_port_ = 0xc000;
  unsigned next_message_ = 0;
};

}  // namespace kdpc::qtest
